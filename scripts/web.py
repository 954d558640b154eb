"""A small web server for the tests and the drivers."""
import http.server
import threading


class Web(http.server.ThreadingHTTPServer):
    """`answer(request, body)` gives a status, a body and fields; None when it has answered by itself."""
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Requests)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # a client that was killed, or has gone


class Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionAbortedError("the client was killed in the middle of a body")
            return body
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def begin(self, status, length, fields):
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def any(self):
        if answer := self.server.answer(self, self.body()):
            status, body, fields = answer
            self.begin(status, len(body), fields)
            if self.command != "HEAD":
                self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = any

    def log_message(self, *_):
        pass
