#include "shared/store_lmdb_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/log.h"

#define BOOT_PATH "/proc/sys/kernel/random/boot_id"
#define MARKER_NAME "host"
#define NAME_SIZE 32 /* of the longest name in the folder */

static enum status complain(char *why, size_t why_size, const char *what, const char *path)
{
    (void)snprintf(why, why_size, "%s %s: %s", what, path, strerror(errno));
    return STATUS_SYSTEM;
}

static enum status make_folders(const char *path, char *why, size_t why_size)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return complain(why, why_size, "cannot make", part);
    }
    struct stat found;
    if (stat(path, &found) < 0)
        return complain(why, why_size, "cannot use", path);
    if (!S_ISDIR(found.st_mode)) {
        errno = ENOTDIR;
        return complain(why, why_size, "cannot use", path);
    }
    if (found.st_mode & (S_IRWXG | S_IRWXO)) {
        char quoted[PATH_MAX];
        log_line(LOG_WARN, "store", "the store's folder is open to others, want mode 0700",
                 "path=%s mode=%04o", log_quote(quoted, sizeof quoted, path, length),
                 (unsigned)found.st_mode & 07777);
    }
    return STATUS_OK;
}

static void path_in(const struct lmdb_folder *folder, const char *name,
                    char path[PATH_MAX + NAME_SIZE])
{
    (void)snprintf(path, PATH_MAX + NAME_SIZE, "%s/%s", folder->path, name);
}

/* The file's one line, without its end; "" if it cannot be read. */
static void read_line(int file, char line[HOST_BOOT_SIZE])
{
    ssize_t length = pread(file, line, HOST_BOOT_SIZE - 1, 0);
    line[length > 0 ? length : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

static void read_boot(char boot[HOST_BOOT_SIZE])
{
    boot[0] = '\0';
    int file = open(BOOT_PATH, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    read_line(file, boot);
    (void)close(file);
}

static bool write_marker(const struct lmdb_folder *folder, const char *boot)
{
    size_t length = strlen(boot);
    return ftruncate(folder->marker, 0) == 0 &&
           pwrite(folder->marker, boot, length, 0) == (ssize_t)length && fsync(folder->marker) == 0;
}

/* Whether all data, if there is any, is on disk now. */
static bool sync_data(const struct lmdb_folder *folder)
{
    char path[PATH_MAX + NAME_SIZE];
    path_in(folder, "data.mdb", path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT;
    bool synced = fdatasync(file) == 0;
    (void)close(file);
    return synced;
}

static bool set_aside(const struct lmdb_folder *folder)
{
    char data[PATH_MAX + NAME_SIZE];
    char kept[PATH_MAX + NAME_SIZE];
    char lock[PATH_MAX + NAME_SIZE];
    path_in(folder, "data.mdb", data);
    path_in(folder, "data.mdb.unsynced", kept);
    path_in(folder, "lock.mdb", lock);
    if (rename(data, kept) < 0)
        return errno == ENOENT;
    char quoted[PATH_MAX + NAME_SIZE];
    log_line(LOG_WARN, "store",
             "the host went down before the store was on disk: the store begins anew", "kept=%s",
             log_quote(quoted, sizeof quoted, kept, strlen(kept)));
    return unlink(lock) == 0 || errno == ENOENT;
}

/* The only process that has the folder open: nobody else looks at the marker meanwhile. */
static bool enter_first(const struct lmdb_folder *folder, bool waits)
{
    char marked[HOST_BOOT_SIZE];
    read_line(folder->marker, marked);
    if (marked[0] != '\0' && strcmp(marked, folder->boot) != 0 && !set_aside(folder))
        return false;
    if (!waits)
        return write_marker(folder, folder->boot);
    return sync_data(folder) && write_marker(folder, "");
}

enum entry { ENTERED, ENTER_AGAIN, NOT_ENTERED };

static enum entry enter(const struct lmdb_folder *folder, bool waits)
{
    if (flock(folder->marker, LOCK_EX | LOCK_NB) == 0)
        return enter_first(folder, waits) && flock(folder->marker, LOCK_SH) == 0 ? ENTERED
                                                                                 : NOT_ENTERED;
    /* Another process has it. It holds the lock alone only while it looks at the marker. */
    if (errno != EWOULDBLOCK || flock(folder->marker, LOCK_SH) < 0)
        return NOT_ENTERED;
    char marked[HOST_BOOT_SIZE];
    read_line(folder->marker, marked);
    if (strcmp(marked, folder->boot) == 0 || (marked[0] == '\0' && waits))
        return ENTERED;
    if (marked[0] == '\0')
        return write_marker(folder, folder->boot) ? ENTERED : NOT_ENTERED;
    /* That process gave up before it had seen to the marker. */
    return flock(folder->marker, LOCK_UN) == 0 ? ENTER_AGAIN : NOT_ENTERED;
}

enum status lmdb_folder_open(struct lmdb_folder *folder, const char *path, bool waits, char *why,
                             size_t why_size)
{
    *folder = (struct lmdb_folder){.marker = -1};
    if (strlen(path) + NAME_SIZE >= sizeof folder->path) {
        (void)snprintf(why, why_size, "the folder's name is too long");
        return STATUS_TOO_LONG;
    }
    (void)snprintf(folder->path, sizeof folder->path, "%s", path);
    read_boot(folder->boot);
    if (folder->boot[0] == '\0' && !waits)
        return complain(why, why_size,
                        "sync=os needs to know the host's boot; want sync=always, or", BOOT_PATH);
    enum status status = make_folders(path, why, why_size);
    if (status != STATUS_OK)
        return status;

    char marker[PATH_MAX + NAME_SIZE];
    path_in(folder, MARKER_NAME, marker);
    folder->marker = open(marker, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (folder->marker < 0)
        return complain(why, why_size, "cannot open", marker);
    enum entry entry = ENTER_AGAIN;
    while (entry == ENTER_AGAIN)
        entry = enter(folder, waits);
    if (entry == ENTERED)
        return STATUS_OK;
    status = complain(why, why_size, "cannot use", marker);
    (void)close(folder->marker);
    folder->marker = -1;
    return status;
}

void lmdb_folder_close(struct lmdb_folder *folder)
{
    if (folder->marker < 0)
        return;
    /* Let go first: of several that leave together, the last one to try finds it free. */
    if (flock(folder->marker, LOCK_UN) == 0 && flock(folder->marker, LOCK_EX | LOCK_NB) == 0 &&
        sync_data(folder))
        (void)write_marker(folder, "");
    (void)close(folder->marker);
    folder->marker = -1;
}
