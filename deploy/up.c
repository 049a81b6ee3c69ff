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

/* A memory file that children read by the path that comes back: what is in it is neither in their
 * arguments nor, where another node that uses the same state folder could change it under children
 * that start again, on a disk. */
static enum status share(struct node *node, const char *name, const char *text, char path[PATH_MAX])
{
    int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0)
        return STATUS_SYSTEM;
    size_t length = strlen(text);
    node->inherited[node->inherited_count++] = file;
    (void)snprintf(path, PATH_MAX, "/proc/self/fd/%d", file);
    return write(file, text, length) == (ssize_t)length ? STATUS_OK : STATUS_SYSTEM;
}

static enum status share_key(struct node *node, const struct cluster_key *key)
{
    char text[CLUSTER_KEY_TEXT_SIZE];
    cluster_key_text(key, text);
    enum status status = share(node, "cluster-key", text, node->key_file);
    keys_wipe(text, sizeof text);
    return status;
}

static bool outlives_node(void)
{
    return strcmp(up_options.store_url, "memory:") != 0;
}

static enum exit_status find_folder(char folder[STATE_PATH_MAX])
{
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
    if (state_folder_make(folder) == STATUS_OK)
        return EXIT_DONE;
    option_complain(&up_option_table, "--state-dir",
                    "cannot write to %s: %s; want a folder of this user's own", folder,
                    strerror(errno));
    return EXIT_UNUSABLE;
}

/* A store that outlives the node is sealed with a key that does. Sessions of the memory store end
 * with the node, and so does its key: were it to stay, Connection IDs would be counted again from
 * their beginning under it. */
static enum status choose_key(const char *folder, struct cluster_key *key)
{
    enum status status =
        outlives_node() ? state_folder_keep_store_key(folder, key) : keys_random(key, sizeof *key);
    return status == STATUS_OK ? state_folder_write_key(folder, key) : status;
}

static enum exit_status make_key(struct node *node, const char *folder, struct cluster_key *key)
{
    switch (choose_key(folder, key)) {
    case STATUS_OK:
        break;
    case STATUS_SYSTEM:
        option_complain(&up_option_table, "--state-dir",
                        "cannot keep a key in %s: %s; want a folder of this user's own", folder,
                        strerror(errno));
        return EXIT_UNUSABLE;
    case STATUS_MALFORMED:
        option_complain(&up_option_table, "--state-dir",
                        "%s/store.key holds no key; want the 64 hex digits that the store is "
                        "sealed with",
                        folder);
        return EXIT_UNUSABLE;
    default:
        option_complain(&up_option_table, "--cluster-key-file",
                        "the system gives no random numbers for a fresh key; want a file");
        return EXIT_FAILED;
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
    char folder[STATE_PATH_MAX];
    const char *path = up_options.cluster_key_file;
    if (!path) {
        result = find_folder(folder);
        if (result == EXIT_DONE)
            result = make_key(node, folder, &key);
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

/* Arguments can be seen by all users of the machine: a URL with a password is handed on in a file.
 */
static enum exit_status share_store(struct node *node)
{
    char line[CONFIG_LINE_MAX];
    int length = snprintf(line, sizeof line, "store = %s\n", up_options.store_url);
    enum status status = STATUS_TOO_LONG;
    if (length > 0 && (size_t)length < sizeof line)
        status = share(node, "store", line, node->store_file);
    keys_wipe(line, sizeof line);
    if (status == STATUS_OK)
        return EXIT_DONE;
    option_complain(&up_option_table, "--store", "cannot hand it to the children: %s",
                    status == STATUS_SYSTEM ? strerror(errno) : status_text(status));
    return EXIT_FAILED;
}

static enum exit_status find_store(struct node *node)
{
    const char *url = up_options.store_url;
    char folder[STATE_PATH_MAX];
    if (!outlives_node())
        return EXIT_DONE;
    if (strncmp(url, "lmdb:", 5) != 0 && strchr(url, '@'))
        return share_store(node);
    int length;
    if (strcmp(url, "lmdb:") == 0) {
        enum exit_status result = find_folder(folder);
        if (result != EXIT_DONE)
            return result;
        length = snprintf(node->store_url, sizeof node->store_url, "lmdb:%s/store", folder);
    } else {
        length = snprintf(node->store_url, sizeof node->store_url, "%s", url);
    }
    if (length > 0 && (size_t)length < sizeof node->store_url)
        return EXIT_DONE;
    option_complain(&up_option_table, "--store", "it is too long; want at most %zu octets",
                    sizeof node->store_url - 1);
    return EXIT_UNUSABLE;
}

static enum exit_status run(struct node *node)
{
    enum exit_status result = find_key(node);
    if (result == EXIT_DONE)
        result = find_store(node);
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
