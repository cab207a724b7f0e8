/* Waiting until the other threads sleep where they are meant to be found. */
#ifndef RESIDUE_TESTS_STACKS_PARK_H
#define RESIDUE_TESTS_STACKS_PARK_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many threads of this process are asleep ('S' in their stat). */
static int sleeping_threads(void) {
  int sleeping = 0;
  DIR* tasks = opendir("/proc/self/task");
  struct dirent* entry;
  while (tasks && (entry = readdir(tasks))) {
    char path[300], text[200];
    FILE* file;
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
    file = fopen(path, "r");
    if (!file) continue;
    if (fgets(text, sizeof text, file)) {
      const char* state = strrchr(text, ')');
      if (state && state[1] && state[2] == 'S') ++sleeping;
    }
    fclose(file);
  }
  if (tasks) closedir(tasks);
  return sleeping;
}

/* Three looks in a row: a thread may sleep for a moment on its way. */
static void wait_until_asleep(int count) {
  int seen = 0, patience = 20000;
  while (seen < 3 && patience-- > 0) {
    seen = sleeping_threads() == count ? seen + 1 : 0;
    usleep(1000);
  }
}

#endif
