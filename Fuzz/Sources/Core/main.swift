import FuzzKit

FuzzTarget.run(oneOf: FuzzTarget.log + FuzzTarget.recovery + FuzzTarget.events)
