"""The nginx that servers.py starts."""
import base64
import datetime
import os
import secrets
import shutil
import sys

import trustme
from servers_base import Server, free_ports


class Nginx(Server):
    prefix = "PENSTOCK_NGINX"
    # What differs from one port to the next.
    kinds = {
        "MAIN": "", "HTTP1": "ssl_protocols TLSv1.2;",
        "OTHER": "ssl_certificate tls/other.pem; ssl_certificate_key tls/other.key;",
        "EXPIRED": "ssl_certificate tls/expired.pem; ssl_certificate_key tls/expired.key;",
        "MUTUAL": "ssl_verify_client on; ssl_client_certificate tls/ca.pem;"}
    configuration = """daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  client_max_body_size 16m;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate tls/server.pem;
  ssl_certificate_key tls/server.key;
{servers}
}}
"""
    server = """  server {{
    listen 127.0.0.1:{port} ssl{http2};
    server_name _;
    {more}
    location = /ok {{ return 200 "$server_protocol $ssl_protocol $ssl_server_name"; }}
    location = /moved {{ return 307 https://127.0.0.1:{port}/ok; }}
    location = /busy {{ add_header Retry-After 17 always; return 429 "slower, please"; }}
    location = /gone {{ return 410; }}
    location = /nothing {{ return 444; }}
    location = /short {{ client_max_body_size 1m; proxy_pass http://127.0.0.1:{verifier}/verify; }}
    location / {{
      proxy_pass http://127.0.0.1:{verifier}; proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
    }}
  }}
"""

    def begin(self):
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if nginx is None:
            sys.exit("servers.py: nginx is not installed; run scripts/setup --tests")
        self.make_certificates()
        self.ports = verifier, *ports = free_ports(1 + len(self.kinds))
        self.values |= {**dict(zip(self.kinds, ports)), "TLS": self.path("tls"),
                        "SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()}
        self.write("nginx.conf", self.configuration.format(servers="".join(
            self.server.format(port=self.values[name], verifier=verifier, more=more,
                               http2="" if name == "HTTP1" else " http2") for name, more in self.kinds.items())))
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "webhook_verifier.py")
        self.spawn(sys.executable, "-B", script, str(verifier), self.values["SECRET"])
        self.spawn(nginx, "-c", self.path("nginx.conf"), "-p", self.state, "-e", "stderr")

    def make_certificates(self):
        os.mkdir(self.path("tls"))
        authority, january = trustme.CA(), datetime.datetime(2020, 1, 1)
        authority.cert_pem.write_to_path(self.path("tls", "ca.pem"))
        authority.private_key_pem.write_to_path(self.path("tls", "ca.key"))
        trustme.CA().cert_pem.write_to_path(self.path("tls", "other-ca.pem"))
        expired = {"not_before": january, "not_after": january.replace(month=2)}
        for name, identities, dates in (
                ("server", ("localhost", "receiver.test", "127.0.0.1"), {}), ("other", ("elsewhere.test",), {}),
                ("expired", ("localhost",), expired), ("client", ("client.test",), {})):
            made = authority.issue_cert(*identities, **dates)
            made.cert_chain_pems[0].write_to_path(self.path("tls", f"{name}.pem"))
            made.private_key_pem.write_to_path(self.path("tls", f"{name}.key"))
