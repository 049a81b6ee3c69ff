#include "shared/store.h"

#include <stdio.h>
#include <string.h>

#include "shared/redis_slot.h"
#include "shared/store_engines.h"

#define FORMS_SIZE 256

struct scheme {
    const char *prefix; /* what a URL begins with */
    const char *form;   /* how the whole of it looks */
    store_open_fn *open;
};

static const struct scheme schemes[] = {
    {"memory:", "memory:", store_memory_open},
    {"lmdb:", "lmdb:DIR", store_lmdb_open},
    {"redis", "redis://HOST", store_redis_open}, /* and its variants: redis_url.h */
};
#define SCHEMES_COUNT (sizeof schemes / sizeof schemes[0])

static void list_forms(char forms[FORMS_SIZE])
{
    size_t length = 0;
    for (size_t i = 0; i < SCHEMES_COUNT && length < FORMS_SIZE; i++) {
        const char *separator = i == 0 ? "" : i + 1 < SCHEMES_COUNT ? ", " : " or ";
        length += (size_t)snprintf(forms + length, FORMS_SIZE - length, "%s%s", separator,
                                   schemes[i].form);
    }
}

/* As a Redis cluster spreads them (redis_script.h), so that a page is in one slot. */
uint8_t store_obliged_page(const struct cid *cid)
{
    return (uint8_t)(redis_crc16(cid->bytes, cid->length) % STORE_OBLIGED_PAGES);
}
_Static_assert(STORE_OBLIGED_PAGES == REDIS_TAGS, "a page is a hash tag");

enum status store_open(struct store **store, const struct store_options *options, char *why,
                       size_t why_size)
{
    for (size_t i = 0; i < SCHEMES_COUNT; i++) {
        const struct scheme *scheme = &schemes[i];
        if (strncmp(options->url, scheme->prefix, strlen(scheme->prefix)) == 0)
            return scheme->open(store, options, why, why_size);
    }
    /* Not the whole URL, for it may hold a password. */
    char forms[FORMS_SIZE];
    list_forms(forms);
    (void)snprintf(why, why_size, "store \"%.*s\": no such scheme; want %s",
                   (int)strcspn(options->url, ":/@"), options->url, forms);
    return STATUS_MALFORMED;
}
