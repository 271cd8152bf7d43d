// RUN: quern-opt %s -quern-plan-arena -split-input-file -verify-diagnostics

// expected-error @below {{the attribute quern.model is not JSON: [1:2, byte=2]: Expected object key}}
module attributes {quern.model = "{1}"} {
}
