// The HTTP API (SPEC, section 5). Every call gives `data`, or throws an `ApiError`.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

export class Api {
  /** `identity`: `{token}`, or `{userId}` in open mode, or `null` for nobody. */
  constructor(identity = null) {
    this.identity = identity;
  }

  get(path, parameters) {
    return this.#call('GET', path, parameters);
  }

  post(path, parameters) {
    return this.#call('POST', path, undefined, parameters ?? {});
  }

  async #call(method, path, query, body) {
    const parameters = new URLSearchParams(query);
    const headers = {};
    if (this.identity?.token) headers.Authorization = `Bearer ${this.identity.token}`;
    // Open mode: whoever acts is named in the query, by the one name that no call uses for anything else.
    else if (this.identity?.userId) parameters.set('operatorId', this.identity.userId);
    if (body) headers['Content-Type'] = 'application/json';
    let answer;
    try {
      const search = parameters.size ? `?${parameters}` : '';
      answer = await fetch(`api${path}${search}`, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
    } catch (error) {
      throw new ApiError(0, 'unreachable', error.message);
    }
    const result = await answer.json().catch(() => ({}));
    if (answer.ok && result.code === 200) return result.data;
    throw new ApiError(answer.status, result.error ?? `http_${answer.status}`, result.message ?? answer.statusText);
  }
}
