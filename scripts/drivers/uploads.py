"""What passes between an S3 sink and its store about uploads in parts.

Heard at the proxy, request by request, so that it is known at any moment which uploads have parts and no end.
"""
import re
import threading
from urllib.parse import parse_qsl, urlsplit

REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (/\S*) HTTP/1\.1\r\n")
UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")


class Upload:
    def __init__(self):
        self.parts = set()  # numbers of parts that the store took
        self.ended = None  # completed or aborted
        self.cut = False  # the process was killed between the first part and the end
        self.interrupted = self.resumed = False  # an outage came in between; it was resumed after that
        self.abort_lost = False  # an abort did not get through: left to the bucket's own rules


class Uploads:
    """`created`, `taken` and `completing` count what was seen, so that a kill can wait for it."""

    def __init__(self):
        self.lock, self.all = threading.Lock(), {}
        self.created = self.taken = self.completing = 0

    def conversation(self):
        return Conversation(self)

    def open(self):
        """Those with a part and without an end."""
        with self.lock:
            return [one for one in self.all.values() if one.parts and not one.ended]

    def killed(self):
        for one in self.open():
            one.cut = True

    def interrupted(self):
        for one in self.open():
            one.interrupted = True

    def may_be_left(self, upload_id):
        one = self.all.get(upload_id)
        return one is not None and one.abort_lost

    def count(self, condition):
        with self.lock:
            return sum(1 for one in self.all.values() if one.parts and condition(one))


class Conversation:
    """One connection: a request, its answer, the next request."""

    def __init__(self, uploads):
        self.uploads, self.call, self.head = uploads, None, b""

    def asked(self, data, is_lost):
        if not (request := REQUEST.match(data)):
            return  # more of a body
        query = dict(parse_qsl(urlsplit(request[2].decode()).query, keep_blank_values=True))
        self.call, self.head = (request[1].decode(), query), b""
        with self.uploads.lock:
            upload = self.uploads.all.get(query.get("uploadId"))
            if upload and request[1] == b"DELETE" and is_lost:
                upload.abort_lost = True
            self.uploads.completing += upload is not None and request[1] == b"POST"

    def answered(self, data):
        if self.call is None:
            return
        self.head = (self.head + data)[:4096]
        method, query = self.call
        is_success = self.head.startswith(b"HTTP/1.1 2")
        with self.uploads.lock:
            if method == "POST" and "uploads" in query:
                if found := UPLOAD_ID.search(self.head):
                    self.uploads.all[found[1].decode()] = Upload()
                    self.uploads.created += 1
                    self.call = None
                return
            self.call = None
            upload = self.uploads.all.get(query.get("uploadId"))
            if upload and is_success:
                self.note(upload, method, query)

    def note(self, upload, method, query):
        if method == "PUT":
            upload.parts.add(query["partNumber"])
            self.uploads.taken += 1
        elif method in ("POST", "DELETE"):
            upload.ended = "completed" if method == "POST" else "aborted"
        upload.resumed = upload.resumed or (upload.interrupted and method != "DELETE")
