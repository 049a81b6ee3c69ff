#include "deploy/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_NAME "/cluster.key"
#define STORE_KEY_NAME "/store.key"
#define NEW_KEY_NAME KEY_NAME ".XXXXXX"

/* "If [...] relative path [...] consider the path invalid and ignore it": the specification. */
static const char *absolute(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] == '/' ? value : NULL;
}

enum status state_folder_path(const char *chosen, char path[STATE_PATH_MAX])
{
    const char *state = absolute("XDG_STATE_HOME");
    const char *home = absolute("HOME");
    int length;
    if (chosen)
        length = snprintf(path, STATE_PATH_MAX, "%s", chosen);
    else if (state)
        length = snprintf(path, STATE_PATH_MAX, "%s/holdfast", state);
    else if (home)
        length = snprintf(path, STATE_PATH_MAX, "%s/.local/state/holdfast", home);
    else
        return STATUS_NOT_FOUND;
    if (length < 0 || (size_t)length + sizeof NEW_KEY_NAME > STATE_PATH_MAX)
        return STATUS_TOO_LONG;
    return STATUS_OK;
}

enum status state_folder_make(const char *path)
{
    char part[STATE_PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        errno = length == 0 ? ENOENT : ENAMETOOLONG;
        return STATUS_SYSTEM;
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return STATUS_SYSTEM;
    }
    struct stat found;
    if (stat(path, &found) < 0)
        return STATUS_SYSTEM;
    if (!S_ISDIR(found.st_mode)) {
        errno = ENOTDIR;
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

void state_folder_key_path(const char *path, char key_path[STATE_PATH_MAX])
{
    (void)snprintf(key_path, STATE_PATH_MAX, "%.*s" KEY_NAME,
                   (int)(STATE_PATH_MAX - sizeof NEW_KEY_NAME), path);
}

void state_folder_store_key_path(const char *path, char key_path[STATE_PATH_MAX])
{
    (void)snprintf(key_path, STATE_PATH_MAX, "%.*s" STORE_KEY_NAME,
                   (int)(STATE_PATH_MAX - sizeof NEW_KEY_NAME), path);
}

void cluster_key_text(const struct cluster_key *key, char text[CLUSTER_KEY_TEXT_SIZE])
{
    for (size_t i = 0; i < CLUSTER_KEY_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", key->bytes[i]);
    memcpy(text + CLUSTER_KEY_TEXT_SIZE - sizeof "\n", "\n", sizeof "\n");
}

/* How a file that is complete gets its name. */
enum naming {
    NAMING_REPLACES,
    NAMING_MAKES, /* EEXIST if there is one */
};

static bool give_name(const char *new_path, const char *final_path, enum naming naming)
{
    switch (naming) {
    case NAMING_REPLACES:
        return rename(new_path, final_path) == 0;
    case NAMING_MAKES:
        return link(new_path, final_path) == 0 && unlink(new_path) == 0;
    }
    return false;
}

static enum status write_key(const char *path, const char *final_path,
                             const struct cluster_key *key, enum naming naming)
{
    enum status status = STATUS_SYSTEM;
    int saved_errno = 0;
    char text[CLUSTER_KEY_TEXT_SIZE];
    char new_path[STATE_PATH_MAX];
    (void)snprintf(new_path, sizeof new_path, "%.*s" NEW_KEY_NAME,
                   (int)(STATE_PATH_MAX - sizeof NEW_KEY_NAME), path);
    int file = mkostemp(new_path, O_CLOEXEC); /* mode 0600 */
    if (file < 0)
        return STATUS_SYSTEM;

    cluster_key_text(key, text);
    /* On the disk before it has its name: a store that outlives a loss of power needs its key. */
    if (write(file, text, sizeof text - 1) == (ssize_t)sizeof text - 1 && fsync(file) == 0 &&
        give_name(new_path, final_path, naming))
        status = STATUS_OK;

    saved_errno = errno;
    if (status != STATUS_OK)
        (void)unlink(new_path);
    (void)close(file);
    keys_wipe(text, sizeof text);
    errno = saved_errno;
    return status;
}

enum status state_folder_write_key(const char *path, const struct cluster_key *key)
{
    char final_path[STATE_PATH_MAX];
    state_folder_key_path(path, final_path);
    return write_key(path, final_path, key, NAMING_REPLACES);
}

/* What a name means is on the disk when the folder is. */
static enum status sync_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return STATUS_SYSTEM;
    int result = fsync(folder);
    int saved_errno = errno;
    (void)close(folder);
    errno = saved_errno;
    return result == 0 ? STATUS_OK : STATUS_SYSTEM;
}

enum status state_folder_keep_store_key(const char *path, struct cluster_key *key)
{
    char final_path[STATE_PATH_MAX];
    state_folder_store_key_path(path, final_path);
    enum status status = keys_read_file(key, final_path);
    if (status != STATUS_SYSTEM || errno != ENOENT)
        return status;
    status = keys_random(key, sizeof *key);
    if (status != STATUS_OK)
        return status;
    status = write_key(path, final_path, key, NAMING_MAKES);
    if (status == STATUS_OK)
        return sync_folder(path);
    if (errno != EEXIST)
        return status;
    return keys_read_file(key, final_path);
}
