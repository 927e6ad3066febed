// Says whether a HAR is one, in the eyes of a validator, and which requests a converter to k6 makes of it.
//
//     node read_har.js FILE.har SCRIPT.mjs      writes the script for k6; prints [method, url, body] of every entry
//
// The script is run with stand-ins for k6's own modules, which write down what they are asked for.
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const validator = require("har-validator");
const { liHARToK6Script } = require("har-to-k6");

const [file, script] = process.argv.slice(2);
const har = JSON.parse(fs.readFileSync(file, "utf8"));

const asked = [];
globalThis.asked = (...request) => asked.push(request);
const modules = path.join(path.dirname(script), "node_modules", "k6");
fs.mkdirSync(modules, { recursive: true });
fs.writeFileSync(path.join(modules, "package.json"), '{"exports": {".": "./index.mjs", "./http": "./http.mjs"}}');
fs.writeFileSync(path.join(modules, "index.mjs"), "export const sleep = () => {};\nexport const group = (_, run) => run();\n");
fs.writeFileSync(path.join(modules, "http.mjs"), `export default {
  get: url => asked("GET", String(url), ""),
  post: (url, body) => asked("POST", String(url), body ?? ""),
};
export const url = String.raw;
`);

(async () => {
  await validator.har(har);
  const { main } = await liHARToK6Script(har);
  fs.writeFileSync(script, main);
  (await import(pathToFileURL(script))).default();
  console.log(JSON.stringify(asked));
})().catch(error => {
  console.error(error.errors ? JSON.stringify(error.errors.slice(0, 3)) : error);
  process.exit(1);
});
