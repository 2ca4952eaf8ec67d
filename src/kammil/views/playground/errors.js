// Errors between the page and the model.

/** An error of a request: `unreachable`, `busy`, `key` (the server asks for one) or `refused`, with the server's message. */
export class ApiError extends Error {
  retries = false; // whether who asked asks again without being told to

  constructor(kind, message = "", retryAfter = 0) {
    super(message);
    Object.assign(this, { kind, retryAfter });
  }
}
