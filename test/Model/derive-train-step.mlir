// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive=programs=train_step | FileCheck %s
// RUN: quern-opt %S/Inputs/gpt.mlir '--quern-derive=programs=train_step clip=false' | FileCheck %s --check-prefix=NEVER

// CHECK: quern.function @train_step(%tokens: {{.*}}, %targets: {{.*}}, %learning_rate: tensor<f64> {quern.name = "learning_rate", quern.role = "option"}, %beta1: tensor<f64> {{.*}}, %beta2: {{.*}}, %epsilon: {{.*}}, %weight_decay: {{.*}}, %weight_decay_others: {{.*}}, %clip: {{.*}}, %step: {{.*}}, %token: tensor<11x6xf32>
// CHECK-SAME: %[[M:[^:]*]]: tensor<11x6xf32> {quern.name = "token", quern.parameter = @token, quern.role = "first_moment"}
// CHECK-SAME: %[[V:[^:]*]]: tensor<11x6xf32> {quern.name = "token", quern.parameter = @token, quern.role = "second_moment"}
// CHECK-SAME: -> (tensor<f32> {quern.name = "loss", quern.role = "output"}, tensor<f32> {quern.name = "gradient_norm", quern.role = "output"}, tensor<11x6xf32> {quern.name = "token", quern.parameter = @token, quern.role = "parameter", quern.updates = "token"}
// CHECK-SAME: {quern.name = "block.fc_bias", quern.parameter = @block::@fc_bias, quern.role = "second_moment", quern.updates = "block.fc_bias"}) attributes {program}

// CHECK: %[[LOSS:.*]] = quern.cross_entropy %
// CHECK: %[[G:.*]] = quern.embedding_backward
// CHECK: %[[SQUARES:.*]] = quern.squared_norm %[[G]],
// CHECK: %[[WIDE:.*]] = arith.extf %[[SQUARES]]
// CHECK: %[[NORM:.*]] = math.sqrt %[[WIDE]]
// CHECK: %[[PADDED:.*]] = arith.addf %[[NORM]],
// CHECK: %[[RATIO:.*]] = arith.divf %clip, %[[PADDED]]
// CHECK: %[[LIMITED:.*]] = arith.minimumf %[[RATIO]]
// CHECK: %[[CLIPS:.*]] = arith.cmpf ogt, %clip
// CHECK: %[[FACTOR:.*]] = arith.select %[[CLIPS]], %[[LIMITED]]
// CHECK: %[[OUT:.*]] = arith.truncf %[[NORM]] : tensor<f64> to tensor<f32>
// CHECK: %[[SCALE:.*]] = arith.truncf %[[FACTOR]] : tensor<f64> to tensor<f32>
// CHECK: %[[P:.*]], %{{.*}}, %{{.*}} = quern.adamw %token, %[[G]] moments %[[M]], %[[V]] scale %[[SCALE]] options %learning_rate, %beta1, %beta2, %epsilon, %weight_decay, %step
// A parameter without the decay flag.
// CHECK: quern.adamw %place, {{.*}} %epsilon, %weight_decay_others, %step
// CHECK: quern.return %[[LOSS]], %[[OUT]], %[[P]],

// Without clipping there is no norm, and nothing but its own gradient in an update.
// NEVER: quern.function @train_step(%tokens: {{.*}} %weight_decay_others: tensor<f64> {{[^,]*}}, quern.role = "option"}, %step: tensor<f64>
// NEVER-SAME: -> (tensor<f32> {quern.name = "loss", quern.role = "output"}, tensor<11x6xf32> {quern.name = "token"
// NEVER-NOT: quern.squared_norm
// NEVER: quern.adamw %token, %{{.*}} moments %{{[^,]*}}, %{{[^ ]*}} options %learning_rate, %beta1, %beta2, %epsilon, %weight_decay, %step
// NEVER-NOT: quern.squared_norm
