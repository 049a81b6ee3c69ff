#include "tests/system/support/device_option.h"

#include "shared/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status device_option_psk(void *target, const char *value, char *why, size_t why_size)
{
    struct device_options *options = target;
    const char *identity;
    size_t length;
    if (option_parse_psk(value, strlen(value), &identity, &length, options->key,
                         sizeof(options->key), &options->key_length) != STATUS_OK ||
        length > IDENTITY_LENGTH_MAX) {
        (void)snprintf(why, why_size, "want ID:HEX");
        return STATUS_MALFORMED;
    }
    memcpy(options->identity, identity, length);
    return STATUS_OK;
}

enum status device_option_cid(void *target, const char *value, char *why, size_t why_size)
{
    struct device_options *options = target;
    char *end = NULL;
    if (strcmp(value, "none") == 0) {
        options->cid_length = DEVICE_NO_CID;
        return STATUS_OK;
    }
    options->cid_length = strtoul(value, &end, 10);
    if (*value != '\0' && *end == '\0' && options->cid_length <= CID_LENGTH_MAX)
        return STATUS_OK;
    (void)snprintf(why, why_size, "want none or 0 to %d", CID_LENGTH_MAX);
    return STATUS_MALFORMED;
}
