// Variables of static storage in every shape that C++ has: types, scopes, templates, statics of
// functions, lambdas and inline functions, unnamed types, thread-local ones.
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
struct Session {
  int id;
  static int counter;
  static inline long inl = 4;
  enum class K { a, b };
  K k;
  struct Inner {
    int x;
  };
  Inner in;
  int m(int) const;
};
int Session::counter = 3;
int Session::m(int) const {
  static int calls[3];
  return ++calls[0];
}
namespace ns {
std::vector<Session*> table;
std::map<const char*, std::vector<unsigned long>> m;
namespace {
int hidden = 5;
struct Anon {
  int x;
} an;
}  // namespace
inline namespace v1 {
unsigned short us = 3;
}
template <class T, int N, auto P>
struct Tpl {
  T v[N];
  static T st;
};
template <class T, int N, auto P>
T Tpl<T, N, P>::st = {};
Tpl<unsigned char, 3, &hidden> tpl;
Tpl<const volatile int*, 4, 'x'> tpl2;
}  // namespace ns
unsigned long ul;
long long ll;
unsigned long long ull;
short sh;
unsigned un;
signed char sc;
const char* ccp = "x";
char* const cpc = 0;
volatile int vi;
const volatile int cvi = 1;
char arr[64];
int arr2[3][4];
const char* names[] = {"a", "b"};
int (*parr)[4];
void (*fp)(int);
int (*fp2)(const char*, ...);
void (*fp3)();
int Session::*mp;
int (Session::*mfp)(int) const;
int& ref = arr2[0][0];
int&& rref = 5;
Session::K kk;
Session::Inner inn;
struct {
  int a;
} anonv;
enum { E1 } anone;
union {
  int q;
  float f;
} anonu;
std::array<int, 5> sa;
std::function<void(int, const std::string&)> fn;
std::unique_ptr<Session[]> up;
std::atomic<bool> ab;
std::string str;
std::nullptr_t np;
bool b;
wchar_t wc;
char16_t c16;
char8_t c8;
__int128 i128;
long double ld;
float fl;
double d;
thread_local int tl = 4;
static thread_local Session tls2;
typedef unsigned long my_t;
my_t myv;
using fnt = int(int);
fnt* fnp;
size_t szv;
int (*(*ffp)(int))(char);
char* (*afp[3])(void);
auto lam = [](int x) {
  static int inlam;
  return x + ++inlam;
};
template <class T>
T tf(T x) {
  static T tstat;
  tstat += x;
  return tstat;
}
static int used_static(int z) {
  static int q = 5;
  {
    static int q = 6;
    z += q++;
  }
  return z + q++;
}
inline int inl_f(int z) {
  static int inl_static = 5;
  return z + inl_static++;
}
struct Poly {
  virtual ~Poly();
  virtual int f();
};
Poly::~Poly() {}
int Poly::f() { return 1; }
Poly poly;
Poly* pp = &poly;
int bf;
struct BF {
  int a : 3;
  int b : 5;
} bfv;
enum class Color : unsigned char { red };
Color col;
int* __restrict rp;
std::vector<std::pair<const int, std::string>> vp;
int zero[0];
std::vector<std::vector<int>> vv;
int main(int argc, char** argv) {
  struct Local {
    int x;
  };
  static Local loc;
  static std::vector<Local> lv;
  auto l2 = [&](int y) {
    static int deep = 3;
    return y + deep++ + argc;
  };
  return l2(3) + lam(4) + tf(3) + tf(3.0) + used_static(1) + inl_f(argc) + loc.x + lv.size() +
         ns::hidden + ns::an.x + tls2.id + Session().m(1) +
         ns::Tpl<unsigned char, 3, &ns::hidden>::st;
}
