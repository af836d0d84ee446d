// Our client in Node, led by lines on its standard input: [method, ...arguments]; each is answered by a line.
import { createInterface } from "node:readline";

const [module, options] = process.argv.slice(2);
const { Client, NextbestError } = await import(module);
const told = [];
const shown = (error) =>
  error && { ...error, message: error.message, said: String(error), isOurs: error instanceof NextbestError };
let client;
try {
  client = new Client({ ...JSON.parse(options), onError: (error) => told.push(error) });
} catch (error) {
  console.log(JSON.stringify({ raised: { code: error.name, message: error.message } }));
  process.exit(0);
}
console.log("{}");

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...given] = JSON.parse(line);
  let answer = {};
  try {
    if (method === "told") answer = { value: told.map(shown) };
    else {
      const began = performance.now();
      const value = await client[method](...given);
      answer = { value, tookMs: performance.now() - began };
      if (value?.error) answer.value = { ...value, error: shown(value.error) };
    }
  } catch (error) {
    answer = { raised: shown(error) };
  }
  console.log(JSON.stringify(answer));
}
