#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "deploy/command.h"
#include "deploy/state_folder.h"
#include "shared/cid.h"
#include "shared/keys.h"
#include "tests/deploy/capture.h"

static enum exit_status decode(const char *hex, const char *option, const char *value)
{
    const char *const argv[] = {"decode", hex, option, value};
    return cid_decode_command(option ? 4 : 2, (char *const *)argv);
}

/* A Connection ID of worker 3 with nonce 7 as a worker makes it, in hex. */
static const char *cid_of(const struct cluster_key *key, uint8_t config_id, uint8_t length)
{
    static char hex[2 * CID_LENGTH_MAX + 1];
    uint8_t secret[CID_KEY_SIZE];
    uint8_t id_length = CID_WORKER_ID_LENGTH(length);
    uint8_t worker_id[2] = {0};
    uint8_t nonce[CID_LENGTH_MAX] = {0};
    struct cid_config config;
    struct cid cid;
    worker_id[id_length - 1] = 3;
    nonce[length - 1 - id_length - 1] = 7;
    cr_assert_eq(keys_derive(key, KEY_CID, &config_id, 1, secret, sizeof secret), STATUS_OK);
    cr_assert_eq(
        cid_config_init(&config, config_id, id_length, (uint8_t)(length - 1 - id_length), secret),
        STATUS_OK);
    cr_assert_eq(cid_encode(&config, worker_id, nonce, &cid), STATUS_OK);
    cid_config_free(&config);
    for (size_t i = 0; i < cid.length; i++)
        snprintf(hex + 2 * i, 3, "%02x", cid.bytes[i]);
    return hex;
}

static struct cluster_key key = {.bytes = {1, 2, 3}};

static void start(void)
{
    capture_streams();
    cr_assert_eq(state_folder_write_key(capture_folder(), &key), STATUS_OK);
}

TestSuite(cid, .init = start, .fini = capture_folder_remove);

Test(cid, says_config_worker_and_nonce_for_each_length)
{
    for (uint8_t length = CID_LENGTH_MIN; length <= CID_LENGTH_MAX; length++) {
        char wanted[128];
        uint8_t config = length % CID_CONFIGS_MAX;
        int nonce_digits = 2 * (length - 1 - CID_WORKER_ID_LENGTH(length));
        snprintf(wanted, sizeof wanted, "config %u\nlength %u\nworker 3\nnonce %0*d\n", config,
                 length, nonce_digits, 7);
        cr_assert_eq(decode(cid_of(&key, config, length), "--state-dir", capture_folder()),
                     EXIT_DONE);
        cr_assert_str_eq(capture_output(), wanted);
    }
    cr_assert_str_empty(capture_errors());
}

Test(cid, key_file_can_be_named)
{
    char path[STATE_PATH_MAX];
    state_folder_key_path(capture_folder(), path);
    cr_assert_eq(decode(cid_of(&key, 0, 8), "--cluster-key-file", path), EXIT_DONE);
    cr_assert(strstr(capture_output(), "worker 3\n"));
}

Test(cid, without_a_key_it_says_what_it_can)
{
    cr_assert_eq(decode(cid_of(&key, 2, 8), "--state-dir", "/nonexistent"), EXIT_FAILED);
    cr_assert_str_eq(capture_output(), "config 2\nlength 8\n");
    cr_assert(strstr(capture_errors(), "want the cluster key's file"));
}

Test(cid, unroutable_one_names_no_worker)
{
    cr_assert_eq(decode("e70102030405060f", "--state-dir", "/nonexistent"), EXIT_DONE);
    cr_assert_str_eq(capture_output(), "config 7 (unroutable)\nlength 8\n");
    cr_assert_str_empty(capture_errors());
}

Test(cid, what_is_no_cid_is_refused_with_one_line)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "07",
                                      "0720b1d07b359d",
                                      "0720b1d07b359d3c00",
                                      "0720b1d07b359d3g",
                                      "1400112233445566778899aabbccddeeff00112233"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(decode(bad[i], NULL, NULL), EXIT_UNUSABLE, "%s", bad[i]);
        const char *line = capture_errors();
        cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1, "%s", line);
        cr_assert_str_empty(capture_output());
    }
}

Test(cid, key_file_that_cannot_be_used)
{
    const char *hex = cid_of(&key, 0, 8);
    cr_assert_eq(decode(hex, "--cluster-key-file", "/nonexistent"), EXIT_UNUSABLE);
    cr_assert(strstr(capture_errors(), "cannot read /nonexistent: No such file or directory\n"));
    cr_assert_eq(decode(hex, "--cluster-key-file", capture_file("short", "c0ffee\n")),
                 EXIT_UNUSABLE);
    const char *line = capture_errors();
    cr_assert(strstr(line, "want 64 hex digits\n"));
    cr_assert_null(strstr(line, "c0ffee"));
}
