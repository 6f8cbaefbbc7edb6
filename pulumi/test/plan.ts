// Prints, as JSON, what a stack would make and say: of the stack that is named, or of settings given as JSON. The secrets
// are made up. For tests in other languages.

import { stack, stackFile } from "./harness";

const [given = "local"] = process.argv.slice(2);
const settings = given.startsWith("{") ? JSON.parse(given) : stackFile(given);

stack(settings).then(({ made, outputs }) => {
    const plain = made.map(({ type, name, inputs }) => ({ type, name, inputs }));
    process.stdout.write(JSON.stringify({ made: plain, outputs }, undefined, 2));
});
