// A recursion with variable-length arrays and nested blocks that rests in pause().
#include <string.h>
#include <unistd.h>
volatile int sink;
struct node {
  struct node* next;
  char name[12];
  int v;
};
__attribute__((noinline)) void wait_here(const struct node* n, int depth) {
  register int x = depth + 3;
  const char* nm = n ? n->name : "none";
  sink = x;
  pause();
  sink = x + nm[0];
}
__attribute__((noinline)) static int walk(struct node* n, int depth, unsigned char flag) {
  struct node copy = *n;
  int vla[depth + 2];
  memset(vla, depth, sizeof vla);
  if (depth > 3) {
    wait_here(&copy, depth);
  } else {
    struct node child = {.next = &copy, .v = depth};
    sink += walk(&child, depth + 1, flag + 1);
    sink += child.v;
  }
  return copy.v + vla[depth] + flag;
}
int main(void) {
  struct node root = {.v = 42};
  strcpy(root.name, "root");
  int result = walk(&root, 0, 250);
  return result;
}
