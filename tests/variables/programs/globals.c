// The same for C: tags, unnamed types, functions without prototypes, qualifiers, unknown bounds.
#include <stddef.h>
#include <stdio.h>
struct node {
  struct node* next;
  int v;
};
struct node* head;
struct node n1;
enum color { red } col;
union u {
  int a;
} uu;
typedef struct {
  int x;
} anon_t;
anon_t at;
typedef struct node node_t;
node_t nt;
struct {
  int z;
} az;
unsigned long ul;
long l;
unsigned short us;
size_t sz;
unsigned char uc;
long long ll;
unsigned long long ull;
long unsigned* pul;
const char* names[4];
void (*fp)();
void (*fpv)(void);
int (*fp2)(const char*, ...);
_Bool bb;
_Atomic int ai;
int* restrict rp;
_Complex double cd;
char mat[3][4][5];
extern int undefd[];
static int st;
static struct node* const cst = &n1;
volatile struct node* vn;
const volatile int cvi;
enum { A } ae;
int arr0[0];
struct inc;
struct inc* incp;
_Thread_local int tl;
float f;
double d;
long double ld;
unsigned u;
signed char sc;
char c;
void* vp;
FILE* fpp;
int (*const tab[3])(struct node*) = {0};
const int* const* ccpp;
int fun(int a) {
  static int calls;
  static char buf[32];
  {
    static int calls = 1;
    a += calls++;
  }
  buf[0]++;
  return a + calls++ + st;
}
int main(int argc, char** argv) { return fun(argc) + cst->v + tl; }
