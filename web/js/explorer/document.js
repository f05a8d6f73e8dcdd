// The OpenAPI document of the node, read for people: operations with their fields, schemas in words, and requests out of what was
// typed. Pure. It knows as much of OpenAPI 3.1 as this server's own document uses.

/** In open mode, the parameter that says who acts. The page asks for it once, and not with every operation. */
const ACTOR = 'operatorId';

export class Document {
  #json;

  constructor(json) {
    this.#json = json;
    this.about = json.info.description;
    this.operations = Object.entries(json.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => this.#operation(method.toUpperCase(), path, operation)));
    this.tags = json.tags.map(({ name, description }) => ({
      name, about: description, operations: this.operations.filter(({ tag }) => tag === name),
    }));
  }

  /** The schema that a reference leads to, with what stands beside the reference; without the `null` that absent things may be. */
  resolve(schema) {
    if (schema.$ref) {
      const { $ref, ...beside } = schema;
      const found = $ref.slice(2).split('/').reduce((at, name) => at[name], this.#json);
      return this.resolve({ ...found, ...beside });
    }
    const choices = schema.anyOf?.filter(({ type }) => type !== 'null');
    if (choices && choices.length === 1) return this.resolve({ ...choices[0], description: schema.description ?? choices[0].description });
    if (Array.isArray(schema.type)) return { ...schema, type: schema.type.find((type) => type !== 'null'), enum: schema.enum?.filter((value) => value !== null) };
    return schema;
  }

  /** A schema in a few words: `text, 1 to 100 characters`. */
  words(schema) {
    const { type, enum: values, const: value, minimum, maximum, minLength, maxLength, format, anyOf, items } = this.resolve(schema);
    if (value !== undefined) return JSON.stringify(value);
    if (values) return values.map((each) => JSON.stringify(each)).join(' | ');
    if (anyOf) return anyOf.map((each) => this.words(each)).join(' | ');
    if (type === 'array') return `[ ${this.words(items)}, … ]`;
    if (type === 'integer') return `integer${span(minimum, maximum)}`;
    if (type === 'string') return `${format ?? 'string'}${span(minLength, maxLength)}`;
    return type ?? 'any';
  }

  /** What an object holds, line by line: `{depth, name, words, about, isRequired}`; of a list, what its items hold. */
  rows(schema, depth = 0) {
    const { type, properties, required = [], items } = this.resolve(schema);
    if (type === 'array') return this.rows(items, depth);
    return Object.entries(properties ?? {}).flatMap(([name, each]) => [
      { depth, name, words: this.words(each), about: this.resolve(each).description ?? '', isRequired: required.includes(name) },
      ...this.rows(each, depth + 1),
    ]);
  }

  #operation(method, path, operation) {
    const body = operation.requestBody && this.resolve(operation.requestBody.content['application/json'].schema);
    // A body may be a list, too: the object says it all.
    const { properties = {}, required = [] } = body?.anyOf?.[0] ?? body ?? {};
    const examples = operation.requestBody?.content['application/json'].example ?? {};
    const parameters = (operation.parameters ?? []).map(({ name, in: place, required: isRequired, description, schema, example }) =>
      this.#field(name, place, schema, isRequired, description, example));
    const inBody = Object.entries(properties).map(([name, schema]) =>
      this.#field(name, 'body', schema, required.includes(name), schema.description, examples[name]));
    const fields = [...parameters, ...inBody];
    return {
      id: operation.operationId,
      tag: operation.tags[0],
      method,
      path,
      summary: operation.summary,
      about: operation.description ?? '',
      actor: operation.security ? 'token' : fields.some(({ name }) => name === ACTOR) ? 'number' : null,
      hasBody: body !== undefined,
      fields: fields.filter(({ name }) => name !== ACTOR),
      answers: Object.entries(operation.responses).map(([status, answer]) => this.#answer(Number(status), answer)),
    };
  }

  #field(name, place, schema, isRequired, about, example) {
    return { name, place, kind: kindOf(this.resolve(schema), name), schema: this.resolve(schema), words: this.words(schema), about, isRequired, example };
  }

  #answer(status, { description, content }) {
    const [[type, { schema }]] = Object.entries(content);
    const { data, error } = type === 'application/json' ? this.resolve(schema).properties ?? {} : {};
    return { status, about: description, codes: status === 200 ? [] : error?.enum ?? [], data: status === 200 ? data : undefined };
  }
}

function span(least, most) {
  if (most === Number.MAX_SAFE_INTEGER) most = undefined;
  if (most === undefined) return least > 1 ? ` ≥ ${least}` : '';
  return ` ${least ?? 0}…${most}`;
}

/** What kind of field a schema wants: `flag`, `choice`, `whole`, `list`, `secret`, `long`, `text`, `name` of a message, or `any`. */
function kindOf({ type, enum: values, anyOf, maxLength }, name) {
  if (type === 'boolean') return 'flag';
  if (values) return 'choice';
  if (type === 'integer') return 'whole';
  if (type === 'array') return 'list';
  if (name === 'password') return 'secret';
  if (type === 'string') return maxLength > 2500 ? 'long' : 'text';
  return anyOf ? 'name' : 'any';
}

/** The value of what was typed; `undefined` for nothing. What is wrong stays text, for the server to refuse. */
export function valueOf({ kind }, text) {
  if (text === '') return undefined;
  const number = () => (/^-?\d{1,16}$/.test(text.trim()) ? Number(text) : text);
  if (kind === 'flag') return text === 'true';
  if (kind === 'choice') return number();
  if (kind === 'whole' || kind === 'name') return number();
  if (kind === 'list') return text.split(/[\s,，、]+/).filter(Boolean).map((item) => valueOf({ kind: 'name' }, item));
  if (kind !== 'any') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** How a value is typed. */
export function textOf({ kind }, value) {
  if (value === undefined) return '';
  if (kind === 'list') return value.join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/**
 * The request of an operation: `{method, path, headers, body}`. `texts`: what was typed, by name; `who`: `{token}` or `{userId}`.
 * The path has no leading slash: it counts from where the page is.
 */
export function requestOf(operation, texts, who) {
  const given = operation.fields.map((field) => [field, valueOf(field, texts[field.name] ?? '')]).filter(([, value]) => value !== undefined);
  const of = (place) => given.filter(([field]) => field.place === place).map(([{ name }, value]) => [name, value]);
  const inPath = Object.fromEntries(of('path'));
  const path = operation.path.slice(1).replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(inPath[name] ?? ''));
  const query = new URLSearchParams(of('query'));
  if (operation.actor === 'number' && who.userId) query.set(ACTOR, who.userId);
  return {
    method: operation.method,
    path: query.size > 0 ? `${path}?${query}` : path,
    headers: {
      ...(operation.hasBody && { 'Content-Type': 'application/json' }),
      ...(operation.actor === 'token' && who.token && { Authorization: `Bearer ${who.token}` }),
    },
    body: operation.hasBody ? JSON.stringify(Object.fromEntries(of('body'))) : undefined,
  };
}

/** The same request for a shell. */
export function curlOf({ method, path, headers, body }, base) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  return [
    `curl ${method === 'GET' ? '' : `-X ${method} `}${quote(new URL(path, base).href)}`,
    ...Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`-d ${quote(body)}`]),
  ].join(' \\\n  ');
}
