#include "symbolize/demangle.h"

#include <sstream>

#include "tests/symbolize/built_files.h"

namespace residue {
namespace {

struct Case {
  const char* mangled;
  const char* name;
};

// The names as `c++filt -p -i` (binutils 2.40) prints them.
TEST(FunctionName, LeavesOutReturnTypeAndParameters) {
  for (const Case& c : {
           Case{"main", "main"},
           Case{"_ZN2ns1CIiE3runEv", "ns::C<int>::run"},
           Case{"_Znwm", "operator new"},
           Case{"_ZdaPv", "operator delete[]"},
           Case{"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()"},
           Case{"_ZZNK2ns1A3lamEvENKUlT_E_clIiEEDaS1_",
                "ns::A::lam() const::{lambda(auto:1)#1}::operator()<int>"},
           Case{"_ZN2ns4abi1B5cxx11Ev", "ns::abi1[abi:cxx11]"},
           Case{"_ZNK2ns1AcvmEv", "ns::A::operator unsigned long"},
           Case{"_ZNK2ns1AcvPT_IiEEv", "ns::A::operator int*<int>"},
           Case{"_ZNK2ns1AcvPFviEEv", "ns::A::operator void (*)(int)"},
           Case{"_ZN2ns2fpIiEEPFvcET_", "ns::fp<int>"},
           Case{"_ZN2ns3arrIiEERA4_iT_", "ns::arr<int>"},
           Case{"_ZN2ns3fppIiEEPFPFicEiET_", "ns::fpp<int>"},
           Case{"_ZN2ns1AlsIiEERS0_T_", "ns::A::operator<< <int>"},
           Case{"_ZNK2ns1AltIiEEbT_", "ns::A::operator< <int>"},
           Case{"_ZNKR2ns1AgtIiEEbT_", "ns::A::operator><int>"},
           Case{"_ZN2ns1AptEv", "ns::A::operator->"},
           Case{"_ZN2ns1AclEv", "ns::A::operator()"},
           Case{"_ZNO2ns1A1fEv", "ns::A::f"},
           Case{"_ZN2ns2daIiEEDcT_", "ns::da<int>"},
           Case{"_ZN2ns3addIicEEDTplfp_fp0_ET_T0_", "ns::add<int, char>"},
           Case{"_ZN12_GLOBAL__N_12afIiEEhRNS_4AnonEPFT_S1_E", "(anonymous namespace)::af<int>"},
           Case{"_ZZN2ns5localEiEN1L3runEi", "ns::local(int)::L::run"},
           Case{"_ZN2nsli2_xEy", "ns::operator\"\" _x"},
           Case{"_ZN3foo3barEi.isra.0", "foo::bar"},
           Case{"_ZN3foo3barEi.part.3.cold", "foo::bar"},
           Case{"_ZTV3Foo", "vtable for Foo"},
           Case{"_ZThn16_N1A1fEi", "non-virtual thunk to A::f(int)"},
           Case{"_ZN1AC2Ev", "A::A"},
           Case{"_ZNSt6vectorIiSaIiEED1Ev", "std::vector<int, std::allocator<int> >::~vector"},
       }) {
    EXPECT_EQ(function_name(c.mangled), c.name) << c.mangled;
  }
}

TEST(FunctionName, ReadsRust) {
  for (const Case& c : {
           Case{"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
           Case{"_RNvMs0_NtNtCs4fqI2P2rA04_4core3fmt2rtNtB5_8Argument3new",
                "<core::fmt::rt::Argument>::new"},
           Case{"_RINvNtC3std3mem8align_ofjdE", "std::mem::align_of::<usize, f64>"},
           Case{"_ZN7mycrate3foo17h0123456789abcdefE", "mycrate::foo"},
           Case{"_ZN4core3ptr85drop_in_place$LT$std..rt..lang_start$LT$$LP$$RP$$GT$..$u7b$$u7b$"
                "closure$u7d$$u7d$$GT$17h123456789abcdef0E.llvm.123",
                "core::ptr::drop_in_place<std::rt::lang_start<()>::{{closure}}>"},
       }) {
    EXPECT_EQ(function_name(c.mangled), c.name) << c.mangled;
    EXPECT_EQ(demangle_symbol(c.mangled), c.name) << c.mangled;
  }
}

// GCC's demangler knows no such expressions; LLVM's does.
TEST(FunctionName, AsksLlvmForWhatGccCannotRead) {
  EXPECT_EQ(function_name("_ZN2ns3reqIiQgtstT_Li2EEEiS1_"), "ns::req<int>");
}

TEST(FunctionName, KeepsWhatIsNoMangledName) {
  for (const char* name : {"", "_", "_Z", "_ZZZZZZ", "_ZN", "_R", "_RX", "_ZN3fooE17h", "memcpy",
                           "_ZN99999999999999999999fooE", "_GLOBAL__sub_I_main"}) {
    EXPECT_EQ(function_name(name), name);
    EXPECT_EQ(demangle_symbol(name), name);
  }
}

TEST(FunctionName, SurvivesEveryPrefixAndOneWrongCharacter) {
  const std::string name = "_ZZNK2ns1A3lamEvENKUlT_E_clIiEEDaS1_";
  for (size_t i = 0; i < name.size(); ++i) {
    (void)function_name(name.substr(0, i));
    for (const char c : {'E', 'I', 'N', 'S', '_', '9', 'T', '\x80'}) {
      std::string bad = name;
      bad[i] = c;
      (void)function_name(bad);
    }
  }
}

class FunctionNameWitness : public testing::BuiltFiles {};

// Every function symbol of libstdc++.
TEST_F(FunctionNameWitness, AgreesWithCxxfilt) {
  REQUIRE_TOOL("gcc");
  REQUIRE_TOOL("nm");
  REQUIRE_TOOL("c++filt");
  run("nm -D --defined-only $(gcc -print-file-name=libstdc++.so.6) | awk '$2 ~ /[tTwWi]/ {print "
      "$3}' "
      "| sed 's/@.*//' | sort -u > names && c++filt -p -i < names > plain");
  std::ifstream names(path("names"));
  std::ifstream plain(path("plain"));
  size_t count = 0;
  for (std::string name, expected; std::getline(names, name) && std::getline(plain, expected);) {
    EXPECT_EQ(function_name(name), expected) << name;
    ++count;
  }
  EXPECT_GT(count, 2000U);
}

}  // namespace
}  // namespace residue
