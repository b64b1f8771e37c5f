// Package soak kills the agent and the CA in the middle of their work, as a power cut would, and looks at what is left. It
// holds tests only; they run both programs as processes and know neither from inside.
package soak
