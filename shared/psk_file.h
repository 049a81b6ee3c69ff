/* The --psk-file: one `identity:hexkey` a line. The key is what follows the last colon, so an
 * identity may hold colons. Lines that begin with # and blank ones are skipped; blanks around a
 * line do not count, a # inside it does. */
#ifndef HOLDFAST_SHARED_PSK_FILE_H
#define HOLDFAST_SHARED_PSK_FILE_H

#include "shared/limits.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One entry; identity (1 to IDENTITY_LENGTH_MAX octets, no NUL behind it) and key (1 to
 * PSK_LENGTH_MAX octets) are valid until it returns. Anything but STATUS_OK ends the reading:
 * STATUS_EXISTS for an identity that is there already. */
typedef enum status psk_entry_fn(void *owner, const char *identity, size_t identity_length,
                                 const uint8_t *key, size_t key_length);

/* Calls `entry` for each line. On failure `why` says what is wrong, with file and line and without
 * the line's content: "devices.psk:3: want identity:hexkey". STATUS_SYSTEM: cannot be read.
 * `path` may be a pipe or a memory file; it is read once, from start to end. */
MUST_USE enum status psk_file_read(const char *path, psk_entry_fn *entry, void *owner, char *why,
                                   size_t why_size);

/* Whether a line of such a file can name this identity: 1 to IDENTITY_LENGTH_MAX octets without
 * control characters, with no # or blank in front. */
bool psk_file_can_hold(const char *identity, size_t length);

#endif
