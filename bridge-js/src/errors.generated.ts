// Code generated from internal/problem by `go generate ./internal/problem`; DO NOT EDIT.

/** Every code that an error can carry. The list only grows. */
export type Code =
  | 'insecure_context'
  | 'mixed_content_blocked'
  | 'csp_blocked'
  | 'frame_not_delegated'
  | 'permission_denied'
  | 'permission_dismissed'
  | 'agent_not_running'
  | 'launch_unconfirmed'
  | 'agent_unreachable'
  | 'timeout'
  | 'origin_rejected'
  | 'host_rejected'
  | 'not_yours'
  | 'pairing_required'
  | 'agent_identity_mismatch'
  | 'version_unsupported'
  | 'site_unknown'
  | 'ticket_invalid'
  | 'ca_mismatch'
  | 'certificate_mismatch'
  | 'bad_request'
  | 'unknown_method'
  | 'unsupported'
  | 'busy'
  | 'too_large'
  | 'document_unreadable'
  | 'integrity_failed'
  | 'xml_malformed'
  | 'xml_doctype'
  | 'no_signature'
  | 'user_cancelled'
  | 'prompt_unavailable'
  | 'store_unavailable'
  | 'token_absent'
  | 'token_full'
  | 'driver_failed'
  | 'pin_incorrect'
  | 'pin_locked'
  | 'pin_not_set'
  | 'password_weak'
  | 'key_absent'
  | 'key_weak'
  | 'no_certificate'
  | 'certificate_expired'
  | 'ceremony_unknown'
  | 'consent_spent'
  | 'ca_unreachable'
  | 'internal_error'
  | 'address_refused'
  | 'evidence_unreachable'
  | 'key_generation_forbidden'
  | 'token_unrecognized'
  | 'driver_mismatch'
  | 'pin_unsuitable'
  | 'puk_locked'
  | 'login_failed'
  | 'second_factor_required'
  | 'second_factor_failed'
  | 'not_eligible'
  | 'terms_not_accepted'
  | 'too_many_certificates'
  | 'key_already_certified'
  | 'csr_invalid'
  | 'token_invalid'
  | 'token_expired'
  | 'token_spent'
  | 'token_for_other_csr'
  | 'code_incorrect'
  | 'code_locked'
  | 'state_forbids'
  | 'reason_forbidden'
  | 'not_found'
  | 'forbidden'
  | 'rate_limited';

export const codes: ReadonlySet<Code> = new Set<Code>([
  'insecure_context',
  'mixed_content_blocked',
  'csp_blocked',
  'frame_not_delegated',
  'permission_denied',
  'permission_dismissed',
  'agent_not_running',
  'launch_unconfirmed',
  'agent_unreachable',
  'timeout',
  'origin_rejected',
  'host_rejected',
  'not_yours',
  'pairing_required',
  'agent_identity_mismatch',
  'version_unsupported',
  'site_unknown',
  'ticket_invalid',
  'ca_mismatch',
  'certificate_mismatch',
  'bad_request',
  'unknown_method',
  'unsupported',
  'busy',
  'too_large',
  'document_unreadable',
  'integrity_failed',
  'xml_malformed',
  'xml_doctype',
  'no_signature',
  'user_cancelled',
  'prompt_unavailable',
  'store_unavailable',
  'token_absent',
  'token_full',
  'driver_failed',
  'pin_incorrect',
  'pin_locked',
  'pin_not_set',
  'password_weak',
  'key_absent',
  'key_weak',
  'no_certificate',
  'certificate_expired',
  'ceremony_unknown',
  'consent_spent',
  'ca_unreachable',
  'internal_error',
  'address_refused',
  'evidence_unreachable',
  'key_generation_forbidden',
  'token_unrecognized',
  'driver_mismatch',
  'pin_unsuitable',
  'puk_locked',
  'login_failed',
  'second_factor_required',
  'second_factor_failed',
  'not_eligible',
  'terms_not_accepted',
  'too_many_certificates',
  'key_already_certified',
  'csr_invalid',
  'token_invalid',
  'token_expired',
  'token_spent',
  'token_for_other_csr',
  'code_incorrect',
  'code_locked',
  'state_forbids',
  'reason_forbidden',
  'not_found',
  'forbidden',
  'rate_limited',
]);

/** Those where doing the same thing again can succeed. */
export const retryable: ReadonlySet<Code> = new Set<Code>([
  'permission_dismissed',
  'agent_not_running',
  'launch_unconfirmed',
  'agent_unreachable',
  'timeout',
  'pairing_required',
  'busy',
  'document_unreadable',
  'integrity_failed',
  'user_cancelled',
  'store_unavailable',
  'token_absent',
  'driver_failed',
  'pin_incorrect',
  'password_weak',
  'ca_unreachable',
  'evidence_unreachable',
  'pin_unsuitable',
  'login_failed',
  'second_factor_required',
  'second_factor_failed',
  'terms_not_accepted',
  'code_incorrect',
  'rate_limited',
]);

/** What a person should read about an error. */
export interface Text {
  /** What happened. */
  message: string;
  /** Why it usually happens. */
  reason: string;
  /** What to do. */
  remedy: string;
}
