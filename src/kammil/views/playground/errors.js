// Errors between the page and the model.

/** An error of a request: `unreachable`, `busy`, `key` (the server asks for one), `wrongKey` or `refused`. */
export class ApiError extends Error {
  retries = false; // whether it is asked again

  constructor(kind, message = "", retryAfter = 0) {
    super(message);
    Object.assign(this, { kind, retryAfter });
  }
}
