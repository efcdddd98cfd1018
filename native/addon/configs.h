// The configs of models, from the objects that lib/runtime/listing.ts makes of them.
#pragma once

#include <napi.h>

#include "../engine/config.h"

namespace magnets::addon {

/// Throw a TypeError where a key is missing or of the wrong type, ERR_CHECKPOINT where sizes do not fit 32 bits.
GeneratorConfig to_generator_config(const Napi::Value& value);
CodecConfig to_codec_config(const Napi::Value& value);

}  // namespace magnets::addon
