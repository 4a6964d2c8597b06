// Runs a Python file in Pyodide, CPython compiled to WebAssembly, under Node 18 or later.
//
//   node tests/pyodide/run.mjs PYODIDE PACKAGES FILE ARGUMENT...
//
// PYODIDE is the folder of a Pyodide distribution with the wheels of its packages, PACKAGES one with the
// pure-Python packages, Handgrad among them; FILE is a path in this project.
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [distribution, packages] = process.argv.slice(2, 4).map((folder) => path.resolve(folder));
const project = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const { loadPyodide } = await import(pathToFileURL(path.join(distribution, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: distribution + path.sep });
await python.loadPackage(["numpy", "pillow"], { messageCallback: () => {} });
python.mountNodeFS("/packages", packages);
python.mountNodeFS("/project", project);
python.globals.set("given", python.toPy(process.argv.slice(4)));
process.exitCode = python.runPython(`
import os, runpy, sys
sys.path.insert(0, "/packages")
sys.dont_write_bytecode = True
sys.argv = list(given)
os.chdir("/project")
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
    code = 0
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
code
`);
