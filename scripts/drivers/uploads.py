"""What passes between an S3 sink and its store about uploads in parts, heard at the proxy."""
import re
import threading
from urllib.parse import parse_qsl, urlsplit

REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (/\S*) HTTP/1\.1\r\n")
UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")


class Upload:
    parts = 0  # how many the store took
    ended = None  # completed or aborted
    cut = False  # the process was killed between the first part and the end
    interrupted = resumed = False  # an outage came in between; it was resumed after that
    abort_lost = False  # an abort did not get through: left to the bucket's own rules


class Uploads:
    """`created`, `taken` and `completing` count what was seen, so that a kill can wait for it."""

    def __init__(self):
        self.lock, self.all = threading.Lock(), {}
        self.created = self.taken = self.completing = 0

    def open(self):
        """Those with a part and without an end."""
        with self.lock:
            return [one for one in self.all.values() if one.parts and not one.ended]

    def mark(self, what):
        """The process was killed (cut), or its store was gone for a while (interrupted)."""
        for one in self.open():
            setattr(one, what, True)

    def count(self, condition):
        with self.lock:
            return sum(bool(one.parts and condition(one)) for one in self.all.values())


class Conversation:
    """One connection: a request, its answer, the next request."""

    def __init__(self, uploads):
        self.uploads, self.call, self.head = uploads, None, b""

    def asked(self, data, is_lost):
        if not (request := REQUEST.match(data)):
            return  # more of a body
        method, query = request[1].decode(), dict(parse_qsl(urlsplit(request[2].decode()).query, True))
        self.call, self.head = (method, query), b""
        with self.uploads.lock:
            if upload := self.uploads.all.get(query.get("uploadId")):
                upload.abort_lost |= method == "DELETE" and is_lost
                self.uploads.completing += method == "POST"

    def answered(self, data):
        if self.call is None:
            return
        self.head = (self.head + data)[:4096]
        method, query = self.call
        with self.uploads.lock:
            if method == "POST" and "uploads" in query:
                if found := UPLOAD_ID.search(self.head):
                    self.uploads.all[found[1].decode()] = Upload()
                    self.uploads.created += 1
                    self.call = None
                return
            self.call = None
            upload = self.uploads.all.get(query.get("uploadId"))
            if not upload or not self.head.startswith(b"HTTP/1.1 2"):
                return
            if method == "PUT":
                upload.parts += 1
                self.uploads.taken += 1
            elif method in ("POST", "DELETE"):
                upload.ended = "completed" if method == "POST" else "aborted"
            upload.resumed |= upload.interrupted and method != "DELETE"
