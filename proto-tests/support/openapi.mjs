// The OpenAPI document of a node, and whether answers are as it says.
import assert from 'node:assert/strict';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

/** Documents by node, and what was made of them by their text: nodes with the same settings have the same. */
const [known, made] = [new WeakMap(), new Map()];

/** The document of a node, asked for once: `{document, operations: [{method, path, operation}], find, validate}`. */
export function documentOf(node) {
  if (!known.has(node)) known.set(node, fetch(`${node.httpUrl}/api/openapi.json`).then((answer) => answer.text()).then(once));
  return known.get(node);
}

function once(text) {
  if (!made.has(text)) made.set(text, read(JSON.parse(text)));
  return made.get(text);
}

/** Fails unless the document has this answer to this request. */
export async function conforms(node, method, path, status, body) {
  const { find, validate } = await documentOf(node);
  const found = find(method, path);
  if (!found) return; // no operation: the answer is 404 or 405, and that is for the test to say
  const errors = validate(found, status, body);
  assert.equal(errors, null, `${method} ${path} ${status}: ${errors}\n${JSON.stringify(body)}`);
}

function read(document) {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })));
  const ajv = formats(new Ajv({ strict: false, allErrors: true }));
  ajv.addSchema(document, 'document');

  const segments = (path) => path.split('?')[0].split('/');
  const fits = (template, path) => {
    const [names, given] = [segments(template), segments(path)];
    return names.length === given.length && names.every((name, i) => name === given[i] || (name.startsWith('{') && given[i] !== ''));
  };
  /** The operation of a request, at the path that fits best: the one with the fewest parameters. */
  const find = (method, path) => {
    const fitting = operations.filter((operation) => fits(operation.path, path));
    const parameters = (operation) => operation.path.split('{').length;
    const least = Math.min(...fitting.map(parameters));
    return fitting.find((operation) => operation.method === method && parameters(operation) === least);
  };

  /** What is wrong with an answer, or `null`. */
  const validate = ({ path, method, operation }, status, body) => {
    const content = operation.responses[status]?.content;
    if (!content) return `there is no answer ${status}, only ${Object.keys(operation.responses)}`;
    const [type] = Object.keys(content);
    const pointer = ['paths', path, method.toLowerCase(), 'responses', status, 'content', type, 'schema']
      .map((part) => encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
    const check = ajv.getSchema(`document#/${pointer}`);
    return check(body) ? null : ajv.errorsText(check.errors);
  };
  return { document, operations, find, validate };
}
