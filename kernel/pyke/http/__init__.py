"""Docker's Engine API on a unix socket: requests into model objects, model objects into Docker's JSON.

The way of one request: `server` accepts, `connection` reads and writes HTTP, `router` finds the handler in `routes/`, `requests/` turns
the body into what the engine understands, `shapes/` turns what the engine answers into what Docker's clients expect.
"""
