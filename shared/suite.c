#include "shared/suite.h"

const struct suite suites[] = {
    {0xc0a8, "TLS_PSK_WITH_AES_128_CCM_8", "PSK-AES128-CCM-8", AEAD_AES_CCM, 16, 4, 8, 8},
    {0xc0a4, "TLS_PSK_WITH_AES_128_CCM", "PSK-AES128-CCM", AEAD_AES_CCM, 16, 4, 8, 16},
    {0x00a8, "TLS_PSK_WITH_AES_128_GCM_SHA256", "PSK-AES128-GCM-SHA256", AEAD_AES_GCM, 16, 4, 8,
     16},
    {0x00a9, "TLS_PSK_WITH_AES_256_GCM_SHA384", "PSK-AES256-GCM-SHA384", AEAD_AES_GCM, 32, 4, 8,
     16},
    {0xccab, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", "PSK-CHACHA20-POLY1305",
     AEAD_CHACHA20_POLY1305, 32, 12, 0, 16},
};
const size_t suites_count = sizeof(suites) / sizeof(suites[0]);

const struct suite *suite_find(uint16_t iana)
{
    for (size_t i = 0; i < suites_count; i++) {
        if (suites[i].iana == iana)
            return &suites[i];
    }
    return NULL;
}
