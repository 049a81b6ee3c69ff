#include "tests/deploy/capture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[65536];
static char folder[PATH_MAX];

static void capture(int stream)
{
    int file = memfd_create("stream", MFD_CLOEXEC);
    cr_assert_geq(file, 0);
    cr_assert_eq(dup2(file, stream), stream);
    close(file);
}

void capture_streams(void)
{
    capture(STDOUT_FILENO);
    capture(STDERR_FILENO);
}

static const char *captured(FILE *stream, int descriptor)
{
    (void)fflush(stream);
    ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    cr_assert_eq(ftruncate(descriptor, 0), 0);
    cr_assert_eq(lseek(descriptor, 0, SEEK_SET), 0);
    return text;
}

const char *capture_output(void)
{
    return captured(stdout, STDOUT_FILENO);
}

const char *capture_errors(void)
{
    return captured(stderr, STDERR_FILENO);
}

const char *capture_folder(void)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/holdfast-test-XXXXXX");
        cr_assert(mkdtemp(folder));
    }
    return folder;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    (void)found;
    (void)kind;
    (void)where;
    return remove(path);
}

void capture_folder_remove(void)
{
    if (folder[0])
        (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    folder[0] = '\0';
}

const char *capture_file(const char *name, const char *content)
{
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", capture_folder(), name);
    FILE *file = fopen(path, "we");
    cr_assert(file);
    cr_assert_geq(fputs(content, file), 0);
    cr_assert_eq(fclose(file), 0);
    return path;
}
