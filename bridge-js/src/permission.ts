// Local Network Access: what the browser lets this page reach on this computer.

import { CertSignError } from './errors.js';

export type Permission = PermissionState | 'unsupported';

/** The names that browsers know, the most telling first: only loopback-network tells that a person's refusals have lasted. */
const names = ['loopback-network', 'local-network-access'];

/** Returns the browser's own status object, or undefined where it has none. */
export async function permissionStatus(): Promise<PermissionStatus | undefined> {
  for (const name of names) {
    try {
      return await navigator.permissions.query({ name } as unknown as PermissionDescriptor);
    } catch {
      // Not a name that this browser knows.
    }
  }
  return undefined;
}

export async function permission(): Promise<Permission> {
  return (await permissionStatus())?.state ?? 'unsupported';
}

/** Says why the browser does not let this page reach the agent: the person's answer, or the page that frames this one. */
export function denied(): CertSignError {
  const policy = (document as unknown as { featurePolicy?: { allowsFeature(name: string): boolean } }).featurePolicy;
  let framed = false;
  try {
    framed = window.top !== window && policy !== undefined && !policy.allowsFeature('loopback-network');
  } catch {
    // A name that this browser's policy does not know.
  }
  return framed
    ? new CertSignError('frame_not_delegated', 'the embedding page does not delegate loopback-network to this frame')
    : new CertSignError('permission_denied', 'the browser denies this page access to the loopback network');
}

/** A page of this computer itself: browsers ask nothing there, although the permission's state says "prompt". */
export function pageIsLocal(): boolean {
  return /^((.+\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
}

/** Watches for requests to the agent that the page's own content security policy stops. The page sees nothing else of it. */
export function watchPolicy(): { blocked: boolean; stop(): void } {
  const watch = {
    blocked: false,
    stop: () => document.removeEventListener('securitypolicyviolation', listener),
  };
  const listener = (e: SecurityPolicyViolationEvent) => {
    if (e.disposition === 'enforce' && /^(https?|wss?):\/\/127\.0\.0\.1[:/]/.test(e.blockedURI + '/')) watch.blocked = true;
  };
  document.addEventListener('securitypolicyviolation', listener);
  return watch;
}
