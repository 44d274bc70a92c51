import { exec, execFile } from "node:child_process";

export function label(order: string): void {
  // ruleid: javascript.security.exec-template
  exec(`lp -d labels ${order}.pdf`);
}

export function safe(order: string): void {
  // ok: javascript.security.exec-template
  execFile("lp", ["-d", "labels", `${order}.pdf`]);
}
