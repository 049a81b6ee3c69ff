/* CBOR data items (RFC 8949) of definite length, written and read in place. What does not fit fails
 * the writer. */
#ifndef HOLDFAST_WORKER_ITEM_H
#define HOLDFAST_WORKER_ITEM_H

#include "shared/cursor.h"
#include "shared/octets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head of a map; `pairs` keys with their values follow. */
void item_write_map(struct writer *writer, size_t pairs);
/* A text string; `text` is UTF-8. */
void item_write_text(struct writer *writer, const void *text, size_t length);
/* A byte string. */
void item_write_octets(struct writer *writer, const uint8_t *octets, size_t length);
void item_write_number(struct writer *writer, uint64_t number);

/* The next item, if it is one of that kind; else false, and the cursor fails. Strings are views. */
bool item_read_map(struct cursor *cursor, uint64_t *pairs);      /* its head only */
bool item_read_text(struct cursor *cursor, struct octets *text); /* not checked to be UTF-8 */
bool item_read_octets(struct cursor *cursor, struct octets *octets);
bool item_read_number(struct cursor *cursor, uint64_t *number); /* 0 or more */

#endif
