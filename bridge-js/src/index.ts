/** What a portal page needs to talk to CertSign, the signing agent on a person's computer. */

export { connect, type ConnectOptions, type ConnectionState } from './connect.js';
export { Client, type DocumentToSign, type EnrollOptions, type SignedDocument, type SignOptions, type SignResult } from './client.js';
export { CertSignError } from './errors.js';
export { describe } from './describe.js';
export type { Code, Text } from './errors.generated.js';
export type { AgentEvent, Ceremony, Certificate, Evidence, SavedCertificate, SaveState, Status } from './protocol.js';
export type { CallOptions } from './channel.js';
