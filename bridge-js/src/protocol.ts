// The language between page and agent, as agent/protocol.go defines it.

import type { Code } from './errors.generated.js';

export const protocolVersion = 1;
export const subProtocol = 'certsign.v1';
export const firstPort = 18731;
export const lastPort = 18794;

/** One JSON text frame from the agent. A request's answer carries its id and a result or an error. */
export interface Frame {
  id?: string;
  result?: unknown;
  error?: WireError;
  event?: string;
  data?: unknown;
}

export interface WireError {
  code: Code;
  message: string;
  remedy: string;
  retryable: boolean;
}

/** What the agent tells about itself and about the connection. */
export interface Status {
  agent: string;
  version: string;
  protocol: number;
  /** The origin that the agent sees this page as. */
  origin: string;
  /** The name of the site on the agent's own list; absent when the origin is not on it. */
  site?: string;
  connected: boolean;
  stores: string[];
  formats: string[];
  /** Octets. */
  maxDocument: number;
  maxDocuments: number;
}

/** A certificate whose key the agent has. Certificates are DER in base64. */
export interface Certificate {
  certificate: string;
  /** From the issuer upwards. */
  chain: string[];
  /** Hexadecimal. */
  serial: string;
  subject: string;
  issuer: string;
  /** RFC 3339. */
  notAfter: string;
  store: string;
}

/**
 * What became of a certificate that was to be saved. `stored`: it lies beside its key now; `present`: it lay there already;
 * `kept`: a newer one of the same key lies there and stays.
 */
export type SaveState = 'stored' | 'present' | 'kept';

/** The certificate that lies beside a key now. */
export interface SavedCertificate extends Certificate {
  state: SaveState;
}

/** How a key came to be, in the agent's word; no card or token attests it. */
export interface Evidence {
  store: string;
  hardware: boolean;
  algorithm: string;
  /** The token's manufacturer and model, or the provider. */
  by?: string;
  /** Made where it is kept; absent where the store does not tell. */
  local?: 'yes' | 'no';
  /** Could be copied out at no time; absent where the store does not tell. */
  neverExtractable?: 'yes' | 'no';
}

/** A certificate request, and where its key was made, in the agent's word. */
export interface Ceremony {
  ceremony: string;
  /** PKCS #10, DER in base64. */
  csr: string;
  /** Of the DER, hexadecimal. */
  csrSHA256: string;
  evidence: Evidence;
}

/** Whom the agent waits for, as told by its events. */
export interface AgentEvent {
  event: 'awaiting-user' | 'awaiting-approval' | 'tickets' | 'progress' | (string & {});
  data?: unknown;
}

export interface SignAnswer {
  certificate: string;
  results: { ticket?: string; name?: string; size?: number; sha256?: string; error?: WireError }[];
}

/** A close code of the 44xx group and the error that it stands for. */
export const closeCodes: Readonly<Record<number, Code>> = {
  4400: 'bad_request',
  4401: 'pairing_required',
  4403: 'origin_rejected',
  4404: 'site_unknown',
  4408: 'timeout',
  4409: 'busy',
  4413: 'too_large',
  4421: 'not_yours',
  4426: 'version_unsupported',
  4429: 'rate_limited',
  4500: 'internal_error',
  4503: 'prompt_unavailable',
};
