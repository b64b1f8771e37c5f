package main

// forbidDumps has nothing to do: Go's runtime tells Windows to report no crash and to write no dump.
func forbidDumps() error { return nil }
