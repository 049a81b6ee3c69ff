#include "shared/psk_file.h"

#include "shared/keys.h"
#include "shared/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What would be right, for the line that `entry` or the parser refused. */
static const char *advice(enum status status)
{
    switch (status) {
    case STATUS_MALFORMED:
        return "want identity:hexkey";
    case STATUS_TOO_LONG:
        return "want an identity of at most 128 octets and a key of at most 64";
    case STATUS_EXISTS:
        return "the identity has a key already; want each identity once";
    case STATUS_FULL:
        return "there is no room for more identities";
    case STATUS_OK:
    case STATUS_UNSUPPORTED:
    case STATUS_NOT_FOUND:
    case STATUS_BAD_TAG:
    case STATUS_REPLAYED:
    case STATUS_EXHAUSTED:
    case STATUS_NO_MEMORY:
    case STATUS_CRYPTO:
    case STATUS_SYSTEM:
        return status_text(status);
    }
    return "";
}
_Static_assert(IDENTITY_LENGTH_MAX == 128 && PSK_LENGTH_MAX == 64, "the advice names the bounds");

static enum status take_line(const char *line, psk_entry_fn *entry, void *owner)
{
    while (isspace((unsigned char)*line))
        line++;
    size_t length = strlen(line);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    if (length == 0 || line[0] == '#')
        return STATUS_OK;

    const char *identity;
    size_t identity_length, key_length;
    uint8_t key[PSK_LENGTH_MAX];
    enum status status =
        option_parse_psk(line, length, &identity, &identity_length, key, sizeof key, &key_length);
    if (status == STATUS_OK)
        status = entry(owner, identity, identity_length, key, key_length);
    keys_wipe(key, sizeof key);
    return status;
}

enum status psk_file_read(const char *path, psk_entry_fn *entry, void *owner, char *why,
                          size_t why_size)
{
    enum status status = STATUS_OK;
    char line[CONFIG_LINE_MAX + 2]; /* with line feed and NUL */
    FILE *file = fopen(path, "re");
    if (!file) {
        (void)snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
        return STATUS_SYSTEM;
    }
    /* No second copy of the keys in a buffer that nobody wipes. */
    char buffer[BUFSIZ];
    (void)setvbuf(file, buffer, _IOFBF, sizeof buffer);

    for (unsigned number = 1; status == STATUS_OK && fgets(line, sizeof line, file); number++) {
        status = STATUS_MALFORMED; /* too long, or no text: there is a NUL in it */
        if (strchr(line, '\n') || feof(file))
            status = take_line(line, entry, owner);
        if (status != STATUS_OK)
            (void)snprintf(why, why_size, "%s:%u: %s", path, number, advice(status));
    }
    if (status == STATUS_OK && ferror(file)) {
        (void)snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
        status = STATUS_SYSTEM;
    }

    (void)fclose(file);
    keys_wipe(buffer, sizeof buffer);
    keys_wipe(line, sizeof line);
    return status;
}

bool psk_file_can_hold(const char *identity, size_t length)
{
    if (length == 0 || length > IDENTITY_LENGTH_MAX || identity[0] == '#' || identity[0] == ' ')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (iscntrl((unsigned char)identity[i]))
            return false;
    }
    return true;
}
