#include "shared/cid.h"

#include "deploy/command.h"
#include "deploy/state_folder.h"
#include "shared/keys.h"
#include "shared/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *hex_text;
static const char *key_file;
static const char *state_dir;

static const struct option_row rows[] = {
    {.name = "cluster-key-file",
     .argument = "FILE",
     .help = "the cluster key, 64 hex digits; otherwise that of the last `holdfast up`",
     .kind = OPTION_TEXT,
     .target = &key_file},
    {.name = "state-dir",
     .argument = "DIR",
     .help = "where `holdfast up` left its key ($XDG_STATE_HOME/holdfast)",
     .kind = OPTION_TEXT,
     .target = &state_dir},
};
static const struct option_table table = {
    .program = "holdfast cid decode",
    .summary = "Prints what the Connection ID HEX says: its config, worker and nonce.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
    .operand = "HEX",
    .operand_target = &hex_text,
};

/* Without --cluster-key-file a missing key is no mistake, only less to say. */
static enum exit_status read_key(struct cluster_key *key)
{
    char folder[STATE_PATH_MAX];
    char path[STATE_PATH_MAX];
    if (!key_file) {
        enum status status = state_folder_path(state_dir, folder);
        if (status == STATUS_OK) {
            state_folder_key_path(folder, path);
            status = keys_read_file(key, path);
        }
        if (status == STATUS_OK)
            return EXIT_DONE;
        option_complain(&table, "--cluster-key-file",
                        "no key of a `holdfast up` is here; want the cluster key's file for "
                        "worker and nonce");
        return EXIT_FAILED;
    }
    enum status status = keys_read_file(key, key_file);
    if (status == STATUS_OK)
        return EXIT_DONE;
    if (status == STATUS_SYSTEM)
        option_complain(&table, "--cluster-key-file", "cannot read %s: %s", key_file,
                        strerror(errno));
    else
        option_complain(&table, "--cluster-key-file", "%s holds no key; want 64 hex digits",
                        key_file);
    return EXIT_UNUSABLE;
}

static void print_octets(const char *name, const uint8_t *bytes, size_t length)
{
    (void)printf("%s ", name);
    for (size_t i = 0; i < length; i++)
        (void)printf("%02x", bytes[i]);
    (void)putchar('\n');
}

/* Worker and nonce under this key. */
static enum exit_status print_decoded(const struct cluster_key *key, const uint8_t *cid,
                                      size_t length)
{
    enum exit_status result = EXIT_FAILED;
    uint8_t config_id = cid[0] >> 5;
    uint8_t id_length = CID_WORKER_ID_LENGTH(length);
    uint8_t nonce_length = (uint8_t)(length - 1 - id_length);
    uint8_t secret[CID_KEY_SIZE];
    uint8_t worker_id[CID_LENGTH_MAX];
    uint8_t nonce[CID_LENGTH_MAX];
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    if (keys_derive(key, KEY_CID, &config_id, sizeof config_id, secret, sizeof secret) !=
            STATUS_OK ||
        cid_config_init(&configs[config_id], config_id, id_length, nonce_length, secret) !=
            STATUS_OK) {
        option_complain(&table, "HEX", "its key cannot be derived");
        goto done;
    }
    if (cid_decode(configs, cid, length, worker_id, nonce) == CID_ROUTABLE) {
        (void)printf("worker %" PRIu64 "\n", cid_worker_number(worker_id, id_length));
        print_octets("nonce", nonce, nonce_length);
        result = EXIT_DONE;
    }
    cid_config_free(&configs[config_id]);

done:
    keys_wipe(secret, sizeof secret);
    return result;
}

enum exit_status cid_decode_command(int argc, char *const *argv)
{
    switch (option_parse(&table, argc, argv)) {
    case OPTION_DONE:
        return EXIT_DONE;
    case OPTION_UNUSABLE:
        return EXIT_UNUSABLE;
    case OPTION_RUN:
        break;
    }

    uint8_t cid[CID_LENGTH_MAX];
    size_t length;
    if (option_parse_hex(hex_text, strlen(hex_text), cid, sizeof cid, &length) != STATUS_OK ||
        length < CID_LENGTH_MIN) {
        option_complain(&table, "HEX", "it is no Connection ID; want %d to %d octets in hex",
                        CID_LENGTH_MIN, CID_LENGTH_MAX);
        return EXIT_UNUSABLE;
    }
    if (cid_length_from_first(cid[0]) != length) {
        option_complain(&table, "HEX",
                        "its first octet says %zu octets and there are %zu; want "
                        "the whole Connection ID",
                        cid_length_from_first(cid[0]), length);
        return EXIT_UNUSABLE;
    }

    unsigned config_id = cid[0] >> 5;
    (void)printf("config %u%s\nlength %zu\n", config_id,
                 config_id == CID_CONFIG_UNROUTABLE ? " (unroutable)" : "", length);
    if (config_id == CID_CONFIG_UNROUTABLE)
        return EXIT_DONE; /* names no worker */
    struct cluster_key key;
    enum exit_status result = read_key(&key);
    if (result == EXIT_DONE)
        result = print_decoded(&key, cid, length);
    keys_wipe(&key, sizeof key);
    return result;
}
