#include "shared/suite.h"

#include <criterion/criterion.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

Test(suite, each_is_found_by_its_number)
{
    for (size_t i = 0; i < suites_count; i++)
        cr_expect_eq(suite_find(suites[i].iana), &suites[i]);
    cr_expect_null(suite_find(0));
    cr_expect_null(suite_find(0xc0a9)); /* AES-256-CCM-8 */
}

/* RFC 7252 section 9.1.3.1: the one that every CoAP device has to have. */
Test(suite, the_mandatory_one_comes_first)
{
    cr_expect_eq(suites[0].iana, 0xc0a8);
    cr_expect_eq(suites[0].tag_length, 8);
    cr_expect_str_eq(suites[0].name, "TLS_PSK_WITH_AES_128_CCM_8");
}

Test(suite, lengths_are_those_of_the_aead)
{
    for (size_t i = 0; i < suites_count; i++) {
        const struct suite *suite = &suites[i];
        cr_expect_eq(suite->iv_length + suite->explicit_length, 12, "%s", suite->name);
        cr_expect_leq(suite->key_length, SUITE_KEY_MAX);
        cr_expect_leq(suite->iv_length, SUITE_IV_MAX);
        cr_expect_leq(suite->tag_length, SUITE_TAG_MAX);
        bool short_tag = strstr(suite->name, "CCM_8") != NULL;
        cr_expect_eq(suite->tag_length, short_tag ? 8 : 16, "%s", suite->name);
        bool long_key = strstr(suite->name, "AES_128") == NULL;
        cr_expect_eq(suite->key_length, long_key ? 32 : 16, "%s", suite->name);
    }
}

Test(suite, wolfssl_knows_each_by_number_and_name)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfDTLSv1_2_client_method());
    cr_assert_not_null(ctx);
    for (size_t i = 0; i < suites_count; i++) {
        const char *name = suites[i].wolfssl_name;
        cr_expect_eq(wolfSSL_CTX_set_cipher_list(ctx, name), WOLFSSL_SUCCESS, "%s", name);
        const char *known = wolfSSL_get_cipher_name_from_suite((unsigned char)(suites[i].iana >> 8),
                                                               (unsigned char)suites[i].iana);
        cr_expect_str_eq(known, name);
    }
    wolfSSL_CTX_free(ctx);
}
