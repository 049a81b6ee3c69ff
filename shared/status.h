/* One status type for every call that can fail. */
#ifndef HOLDFAST_SHARED_STATUS_H
#define HOLDFAST_SHARED_STATUS_H

#define MUST_USE __attribute__((warn_unused_result))

enum status {
    STATUS_OK = 0,
    STATUS_MALFORMED,   /* input that does not parse */
    STATUS_UNSUPPORTED, /* parses, but is nothing that we speak */
    STATUS_TOO_LONG,    /* exceeds a bound of limits.h or the given space */
    STATUS_FULL,        /* a bounded table, pool or queue has no room */
    STATUS_NOT_FOUND,
    STATUS_EXISTS,
    STATUS_BAD_TAG,     /* an AEAD did not authenticate */
    STATUS_REPLAYED,    /* authentic, but seen before or too old to tell */
    STATUS_EXHAUSTED,   /* a counter or lease is used up */
    STATUS_NO_MEMORY,
    STATUS_CRYPTO,      /* the crypto library refused; never expected */
    STATUS_SYSTEM,      /* a system call failed; errno says why */
};

/* A static string in lower case, "bad tag" for STATUS_BAD_TAG. */
const char *status_text(enum status status);

#endif
