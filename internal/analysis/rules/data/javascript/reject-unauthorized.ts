import { Agent } from "node:https";

// ruleid: javascript.security.reject-unauthorized
export const loose: Agent = new Agent({ rejectUnauthorized: false });

export function build(ca: string): Agent {
  // ok: javascript.security.reject-unauthorized
  return new Agent({ ca, rejectUnauthorized: true });
}
