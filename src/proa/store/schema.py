"""The tables, and the steps from each version of them to the next.

The number of a version is kept in the file's `user_version`. A step is never changed once it was
released: another one follows it.
"""

from __future__ import annotations

STEPS: tuple[tuple[str, ...], ...] = (
    (
        # id: config digest. manifest: digest of the manifest in the blobs. layers: JSON list of
        # diff ids, base first. content: JSON list of the digests of all blobs it consists of.
        # size: bytes of its layers on disk. created: as its config says; stored: when it came
        # here; both in nanoseconds since 1970.
        """CREATE TABLE images (
            id TEXT PRIMARY KEY NOT NULL,
            manifest TEXT,
            config TEXT NOT NULL,
            layers TEXT NOT NULL,
            content TEXT NOT NULL,
            size INTEGER NOT NULL,
            created INTEGER NOT NULL,
            stored INTEGER NOT NULL
        )""",
        # fully qualified references, by tag or by digest, to images
        """CREATE TABLE image_references (
            reference TEXT PRIMARY KEY NOT NULL,
            image TEXT NOT NULL REFERENCES images (id),
            stored INTEGER NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX references_by_image ON image_references (image)",
        # AUTOINCREMENT: a row's number names the byte that its monitor locks, and must not be
        # given away again while the monitor of a removed container is still leaving.
        # layers: kept by the container, so that it outlives the removal of its image by force.
        """CREATE TABLE containers (
            row INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL UNIQUE,
            image TEXT NOT NULL,
            layers TEXT NOT NULL,
            created INTEGER NOT NULL,
            config TEXT NOT NULL,
            state TEXT NOT NULL
        )""",
        # size: bytes that its files say they have, in pages. disk: bytes that are allocated; NULL
        # until somebody asks. boot: the boot in which it was unpacked, until it is known to have
        # reached the disk; then empty.
        """CREATE TABLE layers (
            diff_id TEXT PRIMARY KEY NOT NULL,
            size INTEGER NOT NULL,
            created INTEGER NOT NULL,
            boot TEXT NOT NULL,
            disk INTEGER
        ) WITHOUT ROWID""",
        # lists of manifests that are being put together: list and source are references,
        # descriptor is JSON, as it will stand in the index.
        """CREATE TABLE manifest_lists (
            list TEXT NOT NULL,
            digest TEXT NOT NULL,
            source TEXT NOT NULL,
            descriptor TEXT NOT NULL,
            PRIMARY KEY (list, digest)
        ) WITHOUT ROWID""",
        # what was pushed to the registry that this store serves. subject: the digest of what a
        # manifest is about; annotations: JSON.
        """CREATE TABLE registry_manifests (
            repository TEXT NOT NULL,
            digest TEXT NOT NULL,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            subject TEXT,
            artifact_type TEXT NOT NULL,
            annotations TEXT NOT NULL,
            PRIMARY KEY (repository, digest)
        ) WITHOUT ROWID""",
        "CREATE INDEX registry_referrers ON registry_manifests (repository, subject)",
        """CREATE TABLE registry_tags (
            repository TEXT NOT NULL,
            tag TEXT NOT NULL,
            digest TEXT NOT NULL,
            updated INTEGER NOT NULL,
            PRIMARY KEY (repository, tag)
        ) WITHOUT ROWID""",
        """CREATE TABLE registry_blobs (
            repository TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY (repository, digest)
        ) WITHOUT ROWID""",
        "CREATE INDEX registry_blobs_by_digest ON registry_blobs (digest)",
        """CREATE TABLE registry_uploads (
            id TEXT PRIMARY KEY NOT NULL,
            repository TEXT NOT NULL,
            started INTEGER NOT NULL
        ) WITHOUT ROWID""",
        # what a process works on and nothing refers to yet. token: the name of the file that the
        # process holds a lock on as long as it lives.
        """CREATE TABLE leases (
            token TEXT PRIMARY KEY NOT NULL,
            pid INTEGER NOT NULL,
            purpose TEXT NOT NULL,
            created INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE leased (
            lease TEXT NOT NULL REFERENCES leases (token) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY (lease, kind, digest)
        ) WITHOUT ROWID""",
        # number: in the order of commits; the newest row is never removed, so none is given twice.
        # time: nanoseconds since 1970. object: its id. attributes: a JSON object of texts.
        """CREATE TABLE events (
            number INTEGER PRIMARY KEY NOT NULL,
            time INTEGER NOT NULL,
            type TEXT NOT NULL,
            action TEXT NOT NULL,
            object TEXT NOT NULL,
            attributes TEXT NOT NULL
        )""",
        # when a container of an image was last made or started, to the minute: nanoseconds since
        # 1970. Apart from the images, whose rows are long.
        """CREATE TABLE image_uses (
            image TEXT PRIMARY KEY NOT NULL,
            used INTEGER NOT NULL
        ) WITHOUT ROWID""",
        # labels, options: JSON objects. used: when the last container that had it was removed,
        # nanoseconds since 1970
        """CREATE TABLE volumes (
            name TEXT PRIMARY KEY NOT NULL,
            created INTEGER NOT NULL,
            labels TEXT NOT NULL,
            options TEXT NOT NULL,
            used INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID""",
        # which container has which volume mounted: such a volume cannot be removed
        """CREATE TABLE volume_uses (
            volume TEXT NOT NULL REFERENCES volumes (name),
            container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
            PRIMARY KEY (volume, container)
        ) WITHOUT ROWID""",
        "CREATE INDEX volume_uses_by_container ON volume_uses (container)",
        # images that are mounted in containers: their layers stay as long as these do
        """CREATE TABLE mounted_images (
            container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
            image TEXT NOT NULL,
            layers TEXT NOT NULL
        )""",
        "CREATE INDEX mounted_images_by_container ON mounted_images (container)",
        # steps of builds. key: of the step's operation and what it worked on. layer: diff ID and
        # digest of what it gave, empty where it changed nothing; size: bytes of that blob. place:
        # where it stands in which Dockerfile. parts: JSON of what the key was made of. made, used:
        # nanoseconds since 1970; uses: how often it was found.
        """CREATE TABLE build_cache (
            key TEXT PRIMARY KEY NOT NULL,
            layer TEXT NOT NULL,
            size INTEGER NOT NULL,
            created TEXT NOT NULL,
            place TEXT NOT NULL,
            text TEXT NOT NULL,
            parts TEXT NOT NULL,
            made INTEGER NOT NULL,
            used INTEGER NOT NULL,
            uses INTEGER NOT NULL
        )""",
        "CREATE INDEX build_cache_by_text ON build_cache (text)",
        "CREATE INDEX build_cache_by_place ON build_cache (place)",
        """CREATE TABLE networks (
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL UNIQUE,
            driver TEXT NOT NULL,
            created INTEGER NOT NULL,
            config TEXT NOT NULL
        )""",
        # what connects a container with a network, while it runs
        """CREATE TABLE endpoints (
            id TEXT NOT NULL UNIQUE,
            network TEXT NOT NULL REFERENCES networks (id),
            container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
            created INTEGER NOT NULL,
            config TEXT NOT NULL,
            UNIQUE (network, container)
        )""",
        "CREATE INDEX endpoints_by_container ON endpoints (container)",
        # 4 or 16 bytes: no address has two owners
        """CREATE TABLE addresses (
            network TEXT NOT NULL,
            address BLOB NOT NULL,
            endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
            PRIMARY KEY (network, address)
        ) WITHOUT ROWID""",
        "CREATE INDEX addresses_by_endpoint ON addresses (endpoint)",
    ),
)

VERSION = len(STEPS)
