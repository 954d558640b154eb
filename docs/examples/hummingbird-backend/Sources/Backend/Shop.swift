import Foundation
import Hummingbird
import PenstockLog

/// What a customer asks for.
struct Wish: Decodable {
  var item: String
  var quantity: Int
}

/// What the shop made of it.
struct Order: ResponseCodable {
  var id: UUID
  var item: String
  var quantity: Int
}

/// What the shop reports to all others.
struct OrderPlaced: Encodable {
  var event = "Order Placed"
  var type = "custom"
  var ts: Int
  var properties: Order
}

/// The shop's own work; in a real one, a database.
actor Orders {
  private var all: [UUID: Order] = [:]

  func place(_ wish: Wish) -> Order {
    let order = Order(id: UUID(), item: wish.item, quantity: wish.quantity)
    all[order.id] = order
    return order
  }

  func order(_ id: UUID) -> Order? { all[id] }
}

struct Shop {
  let events: Log
  let orders = Orders()

  var router: Router<BasicRequestContext> {
    let router = Router()
    router.post("orders") { request, context in
      let wish = try await request.decode(as: Wish.self, context: context)
      guard wish.quantity > 0 else { throw HTTPError(.badRequest, message: "quantity must be above 0") }
      let order = await orders.place(wish)
      try await tell(of: order)
      return EditedResponse(status: .created, response: order)
    }
    router.get("orders/:id") { _, context in
      guard let id = context.parameters.get("id").flatMap(UUID.init(uuidString:)),
        let order = await orders.order(id)
      else { throw HTTPError(.notFound) }
      return order
    }
    return router
  }

  /// On stable storage when it returns: from then on both destinations get it, whatever happens to this process.
  private func tell(of order: Order) async throws {
    let event = try JSONEncoder().encode(OrderPlaced(ts: Int(Date().timeIntervalSince1970), properties: order))
    do throws(LogError) {
      try await events.append(contentsOf: CollectionOfOne(event))
    } catch {
      // A full or failed disk, or the service is ending: the customer may come again.
      throw HTTPError(.serviceUnavailable, message: error.message)
    }
  }
}
