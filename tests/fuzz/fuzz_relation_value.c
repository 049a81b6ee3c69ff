/* A relation as the store gives it back. One that can be read is written again, and must be the
 * same octets. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "worker/relation_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relation_value value;
    uint8_t again[RELATION_VALUE_MAX];
    if (relation_value_read(&value, (struct octets){data, size}) != STATUS_OK)
        return 0;
    struct writer writer = writer_over(again, sizeof(again));
    relation_value_write(&writer, &value);
    if (!writer_ok(&writer) || writer_length(&writer) != size || memcmp(again, data, size) != 0)
        abort();
    return 0;
}
