# Toolchain: Clang, libraries and headers of every target, by `zig`. build.js sets the variables, which is also how they
# reach CMake's trial builds.
#   MAGNETS_ZIG     the program
#   MAGNETS_TARGET  what it calls the target, with the oldest C library that it is for: x86_64-linux-gnu.2.28
if(NOT MAGNETS_ZIG)
  set(MAGNETS_ZIG $ENV{MAGNETS_ZIG})
  set(MAGNETS_TARGET $ENV{MAGNETS_TARGET})
endif()
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR ${MAGNETS_TARGET})
if(MAGNETS_TARGET MATCHES "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_INSTALL_NAME_TOOL "${MAGNETS_ZIG}")  # CMake asks for one, and nothing is installed
  set(CMAKE_MACOSX_RPATH OFF)
  set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-undefined,dynamic_lookup")  # Node has what Node-API declares
elseif(MAGNETS_TARGET MATCHES "windows")
  set(CMAKE_SYSTEM_NAME Windows)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()
set(CMAKE_CXX_COMPILER "${MAGNETS_ZIG}" c++ -target ${MAGNETS_TARGET})
# Said here, because CMake finds it out by linking programs, and each kind takes zig a minute for the C++ library.
set(CMAKE_CXX_COMPILER_ID Clang)
set(CMAKE_CXX_COMPILER_ID_RUN TRUE)
set(CMAKE_CXX_COMPILER_VERSION 16.0)
set(CMAKE_CXX_STANDARD_COMPUTED_DEFAULT 17)
set(CMAKE_CXX_COMPILER_FORCED TRUE)
set(CMAKE_SIZEOF_VOID_P 8)
set(CMAKE_CXX_SIZEOF_DATA_PTR 8)
set(MAGNETS_DOT_PRODUCTS -mcpu=generic+dotprod)  # it takes no -march
set(CMAKE_SHARED_LINKER_FLAGS_RELEASE_INIT "-s")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_HAVE_LIBC_PTHREAD TRUE)
set(MAGNETS_CXX20 TRUE)
# Its programs share one executable, where CMake expects one for each.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${MAGNETS_ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "\"${MAGNETS_ZIG}\" ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"${MAGNETS_ZIG}\" ranlib <TARGET>")
