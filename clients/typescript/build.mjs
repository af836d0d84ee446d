// Builds the package: types once, and one file each for import and require.
import { execFileSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";

const run = (tool, ...options) => execFileSync(tool, options, { stdio: "inherit" });

rmSync("dist", { recursive: true, force: true });
run("tsc", "--outDir", "dist/esm");
cpSync("dist/esm", "dist/cjs", { recursive: true });
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
for (const format of ["esm", "cjs"]) {
  run("esbuild", "src/index.ts", "--bundle", `--format=${format}`, "--target=es2020", `--outfile=dist/${format}/index.js`, "--log-level=warning");
}
