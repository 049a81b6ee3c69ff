#include "shared/keys.h"

#include "shared/cursor.h"
#include "shared/option.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/hmac.h>

/* One per use; a change of what is derived is a new version of its label. */
static const char *label_of(enum key_use use)
{
    switch (use) {
    case KEY_CID:
        return "holdfast cid v1";
    case KEY_FRAME:
        return "holdfast frame v1";
    case KEY_COOKIE:
        return "holdfast cookie v1";
    case KEY_STORE_SEAL:
        return "holdfast store seal v1";
    case KEY_UNKNOWN_PSK:
        return "holdfast unknown psk v1";
    case KEY_ECHO:
        return "holdfast echo v1";
    case KEY_HASH_SEED:
        return "holdfast hash seed v1";
    }
    return NULL;
}

#define LABEL_SIZE_MAX 32
#define INFO_SIZE_MAX  (LABEL_SIZE_MAX + KEY_CONTEXT_MAX)

enum status keys_derive(const struct cluster_key *key, enum key_use use, const void *context,
                        size_t context_length, uint8_t *out, size_t out_length)
{
    const char *label = label_of(use);
    if (!label)
        return STATUS_UNSUPPORTED;
    if (context_length > KEY_CONTEXT_MAX || out_length > KEY_LENGTH_MAX)
        return STATUS_TOO_LONG;

    /* The label's NUL is part of it: no label and context spell the same as another pair. */
    uint8_t info[INFO_SIZE_MAX];
    struct writer writer = writer_over(info, sizeof info);
    writer_bytes(&writer, label, strlen(label) + 1);
    writer_bytes(&writer, context, context_length);
    if (!writer_ok(&writer))
        return STATUS_TOO_LONG;
    int result = wc_HKDF(WC_SHA256, key->bytes, sizeof key->bytes, NULL, 0, info,
                         (word32)writer_length(&writer), out, (word32)out_length);
    return result == 0 ? STATUS_OK : STATUS_CRYPTO;
}

#define KEY_DIGITS (2 * sizeof(struct cluster_key))

/* Exactly the digits, then nothing or one end of line. */
static enum status parse_key(struct cluster_key *key, const char *text, size_t length)
{
    size_t rest = length - KEY_DIGITS;
    if (length < KEY_DIGITS)
        return STATUS_MALFORMED;
    bool ends = rest == 0 || (rest == 1 && text[KEY_DIGITS] == '\n') ||
                (rest == 2 && memcmp(text + KEY_DIGITS, "\r\n", 2) == 0);
    if (!ends)
        return STATUS_MALFORMED;
    size_t octets = 0;
    return option_parse_hex(text, KEY_DIGITS, key->bytes, sizeof key->bytes, &octets);
}

enum status keys_read_file(struct cluster_key *key, const char *path)
{
    enum status status = STATUS_SYSTEM;
    struct cluster_key parsed;
    char text[KEY_DIGITS + 3]; /* digits, "\r\n", and one more that tells of too much */
    size_t length = 0;
    int saved_errno = 0;
    /* read(2), not stdio: its buffers would keep the key on the heap. */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return STATUS_SYSTEM;
    while (length < sizeof text) {
        ssize_t got = read(file, text + length, sizeof text - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            saved_errno = errno;
            goto done;
        }
        if (got == 0)
            break;
        length += (size_t)got;
    }
    status = parse_key(&parsed, text, length);
    if (status == STATUS_OK)
        *key = parsed;
done:
    keys_wipe(&parsed, sizeof parsed);
    keys_wipe(text, sizeof text);
    close(file);
    if (status == STATUS_SYSTEM)
        errno = saved_errno;
    return status;
}

enum status keys_random(void *out, size_t length)
{
    uint8_t *at = out;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return STATUS_SYSTEM;
        at += got;
        length -= (size_t)got;
    }
    return STATUS_OK;
}

void keys_wipe(void *secret, size_t length)
{
    explicit_bzero(secret, length);
}
