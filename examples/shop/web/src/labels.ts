import { exec, execFile } from "node:child_process";

/** Prints the shipping label of an order on the printer of the packing room. */
export function printLabel(order: string, done: (error: Error | null) => void): void {
  exec(`lp -d packing labels/${order}.pdf`, { timeout: 30_000 }, done);
}

/** Lists the printers that are up. */
export function printers(done: (names: string[]) => void): void {
  execFile("lpstat", ["-e"], { timeout: 5_000 }, (error, out) => {
    done(error ? [] : out.split("\n").filter(Boolean));
  });
}
