#include "deploy/command.h"
#include "deploy/node.h"
#include "deploy/state_folder.h"
#include "deploy/up_options.h"
#include "shared/keys.h"
#include "shared/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The folder that this program lies in: its children lie beside it. */
static enum status find_programs(struct node *node)
{
    ssize_t length = readlink("/proc/self/exe", node->programs, sizeof node->programs - 1);
    if (length < 0)
        return STATUS_SYSTEM;
    node->programs[length] = '\0';
    char *slash = strrchr(node->programs, '/');
    if (!slash) {
        errno = ENOENT;
        return STATUS_SYSTEM;
    }
    *slash = '\0';
    return STATUS_OK;
}

/* The key as the children read it: a memory file, so that another node that uses the same state
 * folder cannot change it under children that start again. */
static enum status share_key(struct node *node, const struct cluster_key *key)
{
    char text[CLUSTER_KEY_TEXT_SIZE];
    int file = memfd_create("cluster-key", MFD_CLOEXEC);
    if (file < 0)
        return STATUS_SYSTEM;
    cluster_key_text(key, text);
    ssize_t written = write(file, text, sizeof text - 1);
    keys_wipe(text, sizeof text);
    node->inherited[node->inherited_count++] = file;
    (void)snprintf(node->key_file, sizeof node->key_file, "/proc/self/fd/%d", file);
    return written == (ssize_t)sizeof text - 1 ? STATUS_OK : STATUS_SYSTEM;
}

/* A fresh key for each start. The store of this version is memory, so sessions end with the node;
 * were the key to stay, Connection IDs would be counted again from their beginning under it. */
static enum exit_status make_key(struct node *node, struct cluster_key *key)
{
    char folder[STATE_PATH_MAX];
    switch (state_folder_path(up_options.state_dir, folder)) {
    case STATUS_OK:
        break;
    case STATUS_NOT_FOUND:
        option_complain(&up_option_table, "--state-dir",
                        "there is no default without HOME; want a folder");
        return EXIT_UNUSABLE;
    default:
        option_complain(&up_option_table, "--state-dir",
                        "the path is too long; want a shorter one");
        return EXIT_UNUSABLE;
    }
    if (keys_random(key, sizeof *key) != STATUS_OK) {
        option_complain(&up_option_table, "--cluster-key-file",
                        "the system gives no random numbers for a fresh key; want a file");
        return EXIT_FAILED;
    }
    if (state_folder_make(folder) != STATUS_OK ||
        state_folder_write_key(folder, key) != STATUS_OK) {
        option_complain(&up_option_table, "--state-dir",
                        "cannot write to %s: %s; want a folder of this user's own", folder,
                        strerror(errno));
        return EXIT_UNUSABLE;
    }
    if (share_key(node, key) != STATUS_OK) {
        option_complain(&up_option_table, "--cluster-key-file",
                        "cannot hand the key to the children: %s", strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static enum exit_status find_key(struct node *node)
{
    enum exit_status result = EXIT_DONE;
    struct cluster_key key;
    const char *path = up_options.cluster_key_file;
    if (!path) {
        result = make_key(node, &key);
        goto done;
    }
    enum status status = keys_read_file(&key, path);
    if (status == STATUS_OK)
        status = share_key(node, &key);
    if (status == STATUS_SYSTEM)
        option_complain(&up_option_table, "--cluster-key-file", "cannot read %s: %s", path,
                        strerror(errno));
    else if (status != STATUS_OK)
        option_complain(&up_option_table, "--cluster-key-file",
                        "%s holds no key; want 64 hex digits", path);
    result = status == STATUS_OK ? EXIT_DONE : EXIT_UNUSABLE;

done:
    keys_wipe(&key, sizeof key);
    return result;
}

static enum exit_status run(struct node *node)
{
    enum exit_status result = find_key(node);
    if (result != EXIT_DONE)
        return result;
    if (find_programs(node) != STATUS_OK) {
        option_complain(&up_option_table, "/proc/self/exe", "cannot be read: %s", strerror(errno));
        return EXIT_FAILED;
    }
    node->inherited[node->inherited_count++] = up_options.psks.descriptor;
    if (node_init(node) != STATUS_OK) {
        char text[ADDRESS_TEXT_MAX];
        option_complain(&up_option_table, "--http", "cannot serve at %s: %s; want a free address",
                        address_format(&up_options.http, text), strerror(errno));
        result = EXIT_UNUSABLE;
    } else {
        if (up_options.psks.identities.count == 0)
            log_line(LOG_WARN, "up", "no identities given, no device can connect",
                     "hint=\"holdfast psk gen, --psk-file\"");
        result = node_run(node);
    }
    node_free(node);
    return result;
}

enum exit_status up_command(int argc, char *const *argv)
{
    static struct node node; /* large, and the only one */
    node = (struct node){.options = &up_options};
    if (psk_set_init(&up_options.psks) != STATUS_OK) {
        option_complain(&up_option_table, "--psk", "there is no memory for keys: %s",
                        strerror(errno));
        return EXIT_FAILED;
    }
    enum exit_status result = EXIT_DONE;
    switch (option_parse(&up_option_table, argc, argv)) {
    case OPTION_DONE:
        break;
    case OPTION_UNUSABLE:
        result = EXIT_UNUSABLE;
        break;
    case OPTION_RUN:
        log_set_level((enum log_level)up_options.log);
        result = run(&node);
        break;
    }
    psk_set_free(&up_options.psks);
    return result;
}
